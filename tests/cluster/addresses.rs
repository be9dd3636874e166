//! Addresses of IPv6, and those that are none.

use std::net::TcpListener;

use super::processes::Cluster;
use super::{alone, on};
use crate::support::process::{Outcome, run_in, seequel};
use crate::support::{folder_of, home};

#[test]
fn all_processes_may_be_at_addresses_of_ipv6() {
    // Some containers have none.
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let folder = folder_of(6);
    // Of two stages, so that results cross from executor to executor.
    let sql = "SELECT format, count(*) AS n FROM read_images('.') GROUP BY format ORDER BY format";
    let expected = alone(folder.path(), sql).stdout();
    let mut cluster = Cluster::start_at("[::1]:0", &[], &[], &[]);
    assert!(cluster.url.starts_with("df://[::1]:"), "{}", cluster.url);
    for arguments in [&["--bind", "::1"][..], &["--bind", "[::1]", "--host", "::1"]] {
        cluster.add_executor_with(&home(), arguments);
    }
    let ran = on(&cluster, folder.path(), sql);
    assert_eq!(ran.stdout, expected, "{}\n{}", ran.stderr, cluster.logs());
    let executors = on(&cluster, folder.path(), "SHOW EXECUTORS").stdout();
    assert_eq!(executors.matches("[::1]:").count(), 2, "{executors}");
}

#[test]
fn what_is_no_address_says_how_to_write_one() {
    let folder = folder_of(1);
    let errors = [
        &["scheduler", "--bind", "localhost:50050"][..],
        &["scheduler", "--bind", "::1:50050"],
        &["executor", "--scheduler", "::1:50050"],
        &["executor", "--scheduler", "localhost", "--bind", "gpu-1"],
        &["executor", "--scheduler", "localhost", "--bind", "[::1]:7"],
        &["--cluster", "df://::1", "-c", "SHOW JOBS"],
    ];
    let errors = errors.map(|arguments| {
        let ran = run_in(folder.path(), arguments);
        assert_eq!(ran.status, Some(2), "{ran:?}");
        ran.stderr.lines().next().unwrap_or_default().to_owned()
    });
    insta::assert_snapshot!(errors.join("\n"), @r"
    error: invalid value 'localhost:50050' for '--bind <ADDR>': it is not an address of this machine and a port, such as 10.0.0.1:50050 or [::1]:50050
    error: invalid value '::1:50050' for '--bind <ADDR>': it is not an address of this machine and a port, such as 10.0.0.1:50050 or [::1]:50050
    error: invalid value '::1:50050' for '--scheduler <URL>': '::1:50050' is not the address of a scheduler, such as df://localhost:50050 or df://[::1]:50050
    error: invalid value 'gpu-1' for '--bind <ADDR>': it is not an address of this machine, such as 10.0.0.2 or ::1
    error: invalid value '[::1]:7' for '--bind <ADDR>': it has a port, which is an option of its own: --port
    error: invalid value 'df://::1' for '--cluster <URL>': 'df://::1' is not the address of a scheduler, such as df://localhost:50050 or df://[::1]:50050
    ");
    let host = ["executor", "--scheduler", "localhost", "--host", "gpu-1:7"];
    let error = Outcome::of(&mut seequel(folder.path(), &host)).error_line();
    assert_eq!(
        error,
        "Error: 'gpu-1:7' is not the name or address of a machine, such as gpu-2, 10.0.0.2 or ::1"
    );
}
