//! Which stage of a query holds up the others.

use crate::accounts::Accounts;

/// Workers that wait longer than this share of their time are not what limits the query.
const WAITING: f64 = 0.4;

/// Busy time below this share of the query is no bottleneck of a query without workers.
const LEAST_SHARE: f64 = 0.05;

/// The stage that the others wait for; `None` while too little has happened.
pub(super) fn bottleneck(accounts: &Accounts) -> Option<&'static str> {
    let (workers, stages) = (&accounts.workers, &accounts.stages);
    let share = |seconds: f64| seconds / workers.seconds.max(1e-9);
    let busy = |names: &[&str]| {
        let of_them = stages.named().into_iter().filter(|(name, _)| names.contains(name));
        of_them.max_by(|(_, one), (_, other)| one.busy_seconds.total_cmp(&other.busy_seconds))
    };
    if workers.seconds <= 0.0 {
        let (name, stage) = busy(&["list", "read", "compute", "write"])?;
        let is_long = stage.busy_seconds > LEAST_SHARE * accounts.query.seconds.max(1e-3);
        return is_long.then_some(name);
    }
    if share(workers.input_wait_seconds) > WAITING {
        return busy(&["list", "read"]).map(|(name, _)| name);
    }
    if share(stages.postprocess.room_wait_seconds) > WAITING {
        return busy(&["compute", "write"]).map(|(name, _)| name);
    }
    busy(&["decode", "preprocess", "infer", "postprocess"]).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(busy: [f64; 4], input_wait: f64, output_wait: f64) -> Accounts {
        let mut accounts = Accounts::default();
        let [read, decode, infer, write] = busy;
        accounts.query.seconds = 10.0;
        accounts.stages.read.busy_seconds = read;
        accounts.stages.decode.busy_seconds = decode;
        accounts.stages.infer.busy_seconds = infer;
        accounts.stages.write.busy_seconds = write;
        accounts.stages.postprocess.room_wait_seconds = output_wait;
        accounts.workers.input_wait_seconds = input_wait;
        accounts.workers.room_wait_seconds = output_wait;
        accounts.workers.seconds = decode + infer + input_wait + output_wait;
        accounts
    }

    #[test]
    fn it_is_what_workers_wait_for_or_else_do_most() {
        assert_eq!(bottleneck(&accounts([9.0, 2.0, 8.0, 1.0], 1.0, 1.0)), Some("infer"));
        assert_eq!(bottleneck(&accounts([9.0, 2.0, 1.0, 1.0], 1.0, 0.0)), Some("decode"));
        assert_eq!(bottleneck(&accounts([9.0, 2.0, 1.0, 1.0], 9.0, 0.0)), Some("read"));
        assert_eq!(bottleneck(&accounts([1.0, 1.0, 1.0, 9.0], 0.0, 9.0)), Some("write"));
        assert_eq!(bottleneck(&accounts([9.0, 0.0, 0.0, 1.0], 0.0, 0.0)), Some("read"));
        assert_eq!(bottleneck(&accounts([0.0; 4], 0.0, 0.0)), None);
    }
}
