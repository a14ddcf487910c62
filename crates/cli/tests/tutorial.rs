//! The tutorial's commands, run as they stand in docs/tutorial.md.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// The commands of every `bash` block; of a block marked `fails`, the last one must fail.
fn script(tutorial: &str) -> String {
    let mut script = String::from("set -e -u -m -o pipefail\n");
    for block in tutorial.split("```bash").skip(1) {
        let (marks, rest) = block.split_once('\n').unwrap();
        let (commands, _) = rest.split_once("```").unwrap();
        // The test has built the programs already.
        let lines = commands.lines().filter(|l| !l.contains("cargo build") && !l.contains("PATH="));
        let commands = lines.collect::<Vec<_>>().join("\n");
        if marks.trim() == "fails" {
            script.push_str(&format!(
                "if ( {commands} ); then echo 'this should fail'; exit 1; fi\n"
            ));
        } else {
            script.push_str(&commands);
            script.push('\n');
        }
    }
    script
}

#[test]
fn the_tutorial_runs_as_written() {
    let adyton = common::adyton();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let tutorial = std::fs::read_to_string(root.join("docs/tutorial.md")).unwrap();
    // The tutorial's port may be taken on this machine.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = script(&tutorial.replace("7700", &port.to_string()));
    assert!(script.contains("adyton infer"));
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root.join("networks"), directory.path().join("networks")).unwrap();
    let path = format!(
        "{}:{}",
        adyton.parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    // Whatever happens, what was started in the background ends with the script.
    let script = format!("trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{script}");
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(directory.path())
        .env("PATH", path)
        .env_remove("CARGO")
        .output()
        .unwrap();
    let (out, log) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{log}");
    let labels: Vec<&str> = out.lines().filter(|line| line.len() == 1).collect();
    // Sixteen, four again that were audited, and four over TLS.
    let expected = "7 2 1 0 4 1 4 9 5 9 0 6 9 0 1 5 7 2 1 0 7 2 1 0".split(' ').collect::<Vec<_>>();
    assert_eq!(labels, expected, "{out}\n{log}");
    assert!(out.lines().any(|line| line.starts_with("job ") && line.contains("agrees")), "{out}");
    assert!(log.contains("must admit your key"), "{log}");
    assert!(log.contains("is not trusted by this system's authorities"), "{log}");
}
