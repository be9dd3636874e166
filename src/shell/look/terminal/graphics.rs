//! What the terminal can draw, as its environment tells: terminals are not asked, since one that does not answer would
//! keep the user waiting, and one that answers late would type into the prompt.

use console::Term;

/// The variable that overrides what is found, for terminals that can do more than their environment tells.
const OVERRIDE: &str = "SEEQUEL_GRAPHICS";

/// Pixels of a character: those of a VT340, which terminals with sixels imitate. The other protocols are told the
/// characters that an image covers, and scale it.
const CELL: (u32, u32) = (10, 20);

/// How to draw pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Graphics {
    /// As `▀`, two pixels a character.
    Blocks(Colours),
    /// With kitty's protocol, also of Ghostty.
    Kitty,
    /// With iTerm2's protocol, also of WezTerm, mintty, Konsole and others.
    ITerm2,
    /// With DEC's sixels: foot, mlterm, contour and others.
    Sixel,
}

/// How colours are sent to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    /// As 8 bits each of red, green and blue.
    True,
    /// As an index in the palette of 256 colours, whose entries 16 to 231 are a 6 × 6 × 6 cube.
    Palette,
}

/// A terminal that images can be drawn on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    pub(crate) graphics: Graphics,
    /// Size in characters and lines.
    pub(crate) columns: u32,
    pub(crate) lines: u32,
    /// Pixels of a picture for each character: of the screen, or of half-blocks.
    pub(crate) cell: (u32, u32),
}

impl Terminal {
    /// The terminal of standard output, which must be one, with `graphics`.
    pub(crate) fn of_stdout(graphics: Graphics) -> Self {
        let (lines, columns) = Term::stdout().size();
        let cell = match graphics {
            Graphics::Blocks(_) => (1, 2),
            Graphics::Kitty | Graphics::ITerm2 | Graphics::Sixel => CELL,
        };
        Self { graphics, columns: columns.into(), lines: lines.into(), cell }
    }
}

/// What a terminal with these environment variables can draw.
///
/// # Errors
/// A message for a terminal with at most 16 colours, and for an override that names nothing.
pub(crate) fn graphics(variable: impl Fn(&str) -> Option<String>) -> Result<Graphics, String> {
    let is = |name: &str, words: &[&str]| {
        variable(name).is_some_and(|value| words.iter().any(|word| value.contains(word)))
    };
    let colours = || {
        colours(&is).ok_or_else(|| {
            "this terminal does not report 24-bit or 256 colours; set COLORTERM=truecolor if it has them"
                .to_owned()
        })
    };
    match variable(OVERRIDE).as_deref() {
        None | Some("") => {}
        Some("kitty") => return Ok(Graphics::Kitty),
        Some("iterm2") => return Ok(Graphics::ITerm2),
        Some("sixel") => return Ok(Graphics::Sixel),
        Some("blocks") => return colours().map(Graphics::Blocks),
        Some(other) => {
            return Err(format!("{OVERRIDE} is '{other}'; it may be kitty, iterm2, sixel or blocks"));
        }
    }
    // tmux and screen pass the outer terminal's variables on, but not its graphics.
    let is_inside = variable("TMUX").is_some() || is("TERM", &["screen", "tmux"]);
    if is_inside {
        return colours().map(Graphics::Blocks);
    }
    let is_kitty = variable("KITTY_WINDOW_ID").is_some()
        || is("TERM", &["kitty", "ghostty"])
        || is("TERM_PROGRAM", &["ghostty"]);
    let is_iterm2 = is("TERM_PROGRAM", &["iTerm", "WezTerm", "mintty", "rio"])
        || is("LC_TERMINAL", &["iTerm"])
        || variable("KONSOLE_VERSION").is_some();
    let is_sixel = is("TERM", &["foot", "mlterm", "sixel", "contour"]) || is("TERM_PROGRAM", &["contour"]);
    if is_kitty {
        Ok(Graphics::Kitty)
    } else if is_iterm2 {
        Ok(Graphics::ITerm2)
    } else if is_sixel {
        Ok(Graphics::Sixel)
    } else {
        colours().map(Graphics::Blocks)
    }
}

/// The terminal's colours; `None` if it has at most 16.
fn colours(is: &impl Fn(&str, &[&str]) -> bool) -> Option<Colours> {
    if is("COLORTERM", &["truecolor", "24bit"]) || is("TERM", &["direct", "kitty", "ghostty", "alacritty"]) {
        Some(Colours::True)
    } else {
        is("TERM", &["256color"]).then_some(Colours::Palette)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Graphics, String> {
        graphics(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn graphics_depend_on_the_environment() {
        let (full, palette) = (Graphics::Blocks(Colours::True), Graphics::Blocks(Colours::Palette));
        for (variables, expected) in [
            (&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")][..], full),
            (&[("TERM", "xterm-256color")], palette),
            (&[("TERM", "xterm-kitty")], Graphics::Kitty),
            (&[("TERM", "xterm-256color"), ("KITTY_WINDOW_ID", "1")], Graphics::Kitty),
            (&[("TERM", "xterm-ghostty")], Graphics::Kitty),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")], Graphics::ITerm2),
            (&[("TERM", "xterm-256color"), ("KONSOLE_VERSION", "240201")], Graphics::ITerm2),
            (&[("TERM", "foot")], Graphics::Sixel),
            (&[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")], palette),
            (&[("TERM", "xterm-256color"), ("TMUX", "/tmp/1"), ("TERM_PROGRAM", "iTerm.app")], palette),
            (&[("TERM", "xterm"), ("SEEQUEL_GRAPHICS", "sixel")], Graphics::Sixel),
            (&[("TERM", "xterm-kitty"), ("SEEQUEL_GRAPHICS", "blocks")], full),
        ] {
            assert_eq!(of(variables), Ok(expected), "{variables:?}");
        }
    }

    #[test]
    fn terminals_without_colours_and_wrong_overrides_are_errors() {
        assert!(of(&[("TERM", "xterm")]).unwrap_err().contains("set COLORTERM=truecolor"));
        let error = of(&[("SEEQUEL_GRAPHICS", "svg")]).unwrap_err();
        assert_eq!(error, "SEEQUEL_GRAPHICS is 'svg'; it may be kitty, iterm2, sixel or blocks");
    }
}
