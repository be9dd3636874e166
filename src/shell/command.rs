//! What can be entered at the prompt besides SQL.

/// One entry at the prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// An empty line.
    Nothing,
    Quit,
    Help,
    /// Statements, as entered or on behalf of a shorter command.
    Sql(String),
}

/// What [`Command::Help`] prints.
pub(super) const HELP: &str = r"
Statements end with ; and may take many lines.
  \d         tables              \d NAME    columns of a table
  \m         models              \m NAME    settings of a model
  \f         functions           \f NAME    what a function does
  \?, help   this help           \q, quit   leave, as Ctrl-D does
Ctrl-C cancels the query that runs.

";

/// Words that need no `;` and no backslash.
const BARE_COMMANDS: [&str; 3] = ["quit", "exit", "help"];

impl Command {
    /// Reads one entry.
    ///
    /// # Errors
    /// A backslash command that does not exist.
    pub(super) fn parse(entry: &str) -> Result<Self, String> {
        let entry = entry.trim();
        if entry.is_empty() {
            return Ok(Self::Nothing);
        }
        if !Self::is_command(entry) {
            return Ok(Self::Sql(entry.to_string()));
        }
        let entry = entry.trim_end_matches(';');
        let (command, argument) = entry.split_once(char::is_whitespace).unwrap_or((entry, ""));
        let command = match (command.to_ascii_lowercase().as_str(), argument.trim()) {
            ("\\q" | "quit" | "exit", "") => Self::Quit,
            ("\\?" | "help", "") => Self::Help,
            ("\\d", "") => Self::Sql("SHOW TABLES".to_string()),
            ("\\d", table) => Self::Sql(format!("DESCRIBE {table}")),
            ("\\m", "") => Self::Sql("SHOW MODELS".to_string()),
            ("\\m", model) => Self::Sql(format!("DESCRIBE MODEL {model}")),
            ("\\f", "") => Self::Sql("SHOW FUNCTIONS".to_string()),
            ("\\f", function) => Self::Sql(describe_function(function)),
            _ => return Err(format!("there is no command {entry}; \\? lists those there are")),
        };
        Ok(command)
    }

    /// Whether an entry is complete without a `;`.
    pub(super) fn is_command(entry: &str) -> bool {
        let entry = entry.trim();
        let word = entry.trim_end_matches(';');
        entry.starts_with('\\') || BARE_COMMANDS.iter().any(|command| word.eq_ignore_ascii_case(command))
    }
}

/// `SHOW FUNCTIONS LIKE` has a row for each signature, and none for functions such as `classify` that check their
/// arguments themselves.
fn describe_function(name: &str) -> String {
    format!(
        "SELECT DISTINCT syntax_example AS function, description FROM information_schema.routines \
         WHERE routine_name LIKE '{}' ORDER BY function",
        name.replace('\'', "''")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str) -> Result<Command, String> {
        Ok(Command::Sql(text.to_string()))
    }

    #[test]
    fn commands_and_sql_are_told_apart() {
        for (entry, command) in [
            ("", Ok(Command::Nothing)),
            ("  \n", Ok(Command::Nothing)),
            ("\\q", Ok(Command::Quit)),
            ("EXIT;", Ok(Command::Quit)),
            ("quit", Ok(Command::Quit)),
            ("help", Ok(Command::Help)),
            ("\\? ", Ok(Command::Help)),
            ("\\d", sql("SHOW TABLES")),
            ("\\d  images;", sql("DESCRIBE images")),
            ("\\m resnet", sql("DESCRIBE MODEL resnet")),
            ("\\f it's", Ok(Command::Sql(describe_function("it's")))),
            ("SELECT 1;", sql("SELECT 1;")),
            ("SELECT help", sql("SELECT help")),
        ] {
            assert_eq!(Command::parse(entry), command, "{entry}");
        }
    }

    #[test]
    fn names_are_quoted() {
        assert!(describe_function("it's").contains("LIKE 'it''s'"));
    }

    #[test]
    fn unknown_commands_are_refused() {
        for entry in ["\\x", "\\q now", "\\"] {
            let message = Command::parse(entry).err().unwrap_or_default();
            assert!(message.starts_with(&format!("there is no command {entry};")), "{message}");
        }
    }
}
