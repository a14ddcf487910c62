//! Secrets that valgrind's memcheck holds for uninitialised: it reports each branch and each address that depends on one (Langley's
//! ctgrind). The portable kernel, since valgrind knows no AVX-512.
#![expect(unsafe_code, reason = "valgrind is told by a sequence of instructions")]

use std::process::Command;

use super::{LEAKS, OPERATIONS, World};

const NAME: &str = "ADYTON_TEST_POISON";

/// A client request (valgrind.h, amd64): outside valgrind it does nothing and gives 0.
#[cfg(target_arch = "x86_64")]
fn request(code: u64, address: u64, length: u64) -> u64 {
    let arguments = [code, address, length, 0, 0, 0];
    let mut answer = 0u64;
    // SAFETY: the rotations add up to 128 bits and leave rdi as it was; the exchange is of a register with itself. Valgrind reads the six
    // arguments, which live through the block, and marks memory without changing it.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") answer,
        );
    }
    answer
}

#[cfg(not(target_arch = "x86_64"))]
fn request(_: u64, _: u64, _: u64) -> u64 {
    0
}

const RUNNING: u64 = 0x1001;
/// Memcheck's `MAKE_MEM_UNDEFINED`.
const POISON: u64 = 0x4D43_0001;

/// The inside: one operation on a poisoned secret.
#[test]
#[ignore = "started under valgrind by the other test"]
fn inside() {
    let Ok(name) = std::env::var(NAME) else { return };
    assert_eq!(request(RUNNING, 0, 0), 1, "not under valgrind");
    let world = World::new();
    let mut all = OPERATIONS.iter().chain(LEAKS);
    let (_, prepare) = all.find(|(known, _)| *known == name).unwrap();
    let secret = std::hint::black_box([0x33u8; 32]);
    request(POISON, secret.as_ptr() as u64, secret.len() as u64);
    prepare(&world, std::hint::black_box(secret))();
    eprintln!("poisoned: {name}");
}

/// Memcheck's complaints.
fn complaints(name: &str) -> Vec<String> {
    let output = Command::new("valgrind")
        .args(["--quiet", "--error-limit=no"])
        .arg(std::env::current_exe().unwrap())
        .args(["tests::constant_time::poison::inside", "--exact", "--ignored", "--nocapture"])
        .arg("--test-threads=1")
        .env(NAME, name)
        .env("ADYTON_KERNEL", "portable")
        .output()
        .expect("valgrind is installed (Debian's package of that name)");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && log.contains(&format!("poisoned: {name}")), "{name}: {log}");
    let dependent = |line: &&str| {
        line.contains("depends on uninitialised") || line.contains("Use of uninitialised")
    };
    if log.lines().any(|line| dependent(&line)) {
        return log.lines().map(str::to_owned).collect();
    }
    Vec::new()
}

#[test]
#[ignore = "needs valgrind, and the release profile to test what is shipped: about a minute"]
fn nothing_branches_on_poisoned_secrets() {
    for (name, _) in LEAKS {
        assert!(!complaints(name).is_empty(), "the leak was not found: {name}");
    }
    let mut found = Vec::new();
    for (name, _) in OPERATIONS {
        let complaints = complaints(name);
        eprintln!("{:5}  {name}", if complaints.is_empty() { "clean" } else { "LEAKS" });
        if !complaints.is_empty() {
            let shown = complaints.iter().take(30).cloned().collect::<Vec<_>>().join("\n");
            found.push(format!("{name}:\n{shown}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}
