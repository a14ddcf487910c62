use super::*;

fn policy(json: &str) -> Result<Policy, PolicyError> {
    Policy::from_json(json.as_bytes())
}

#[test]
fn the_canonical_form_forgets_order_and_repetition() {
    let a = policy(
        r#"{"version":1,"accept":{"sgx":{"roots":["b","a","b"],"tcb_statuses":["unknown","up-to-date"]}}}"#,
    );
    let b = policy(
        r#"{"accept":{"sgx":{"tcb_statuses":["up-to-date","unknown"],"roots":["a","b"]}},"version":1}"#,
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.hash().unwrap(), b.hash().unwrap());
    assert_eq!(
        String::from_utf8(a.to_canonical_json().unwrap()).unwrap(),
        r#"{"version":1,"accept":{"sgx":{"roots":["a","b"],"tcb_statuses":["up-to-date","unknown"]}}}"#
    );
    assert_ne!(a.hash().unwrap(), Policy::default().hash().unwrap());
}

#[test]
fn the_hash_of_a_policy_is_stable() {
    // printf '{"version":1}' | sha256sum
    assert_eq!(
        Policy::default().hash().unwrap().to_string(),
        "2430f1a2ad2982d0067885488a4c89e21ad1d7c83b115ba8f1b20acc88dfaea8"
    );
}

#[test]
fn what_is_no_policy_is_refused() {
    for wrong in [
        "",
        "{}",
        r#"{"version":2}"#,
        r#"{"version":1,"acept":{}}"#,
        r#"{"version":1,"accept":{"sgx2":{}}}"#,
        r#"{"version":1,"accept":{"sgx":{"root":[]}}}"#,
        r#"{"version":1,"accept":{"sgx":{"allow":["everything"]}}}"#,
        r#"{"version":1,"accept":{"sgx":{"measurements":{"mrenclave":["0x00"]}}}}"#,
        r#"{"version":1} x"#,
    ] {
        assert!(policy(wrong).is_err(), "{wrong}");
    }
    assert!(matches!(Policy::from_json(&vec![b' '; MAX_POLICY + 1]), Err(PolicyError::TooLarge)));
}

#[test]
fn an_explanation_says_what_is_refused() {
    assert_eq!(Policy::default().explain().len(), 1);
    let text = policy(r#"{"version":1,"accept":{"sev-snp":{"allow":["debug"]}}}"#)
        .unwrap()
        .explain()
        .join("\n");
    for part in [
        "No root is accepted",
        "No processor generation",
        "No value is named of launch",
        "No TCB status",
        "ACCEPTED although it weakens the protection: a debugger may enter",
        "Refused where it is found: simulated",
        "No privilege level",
        "Refused is all evidence of other kinds: sgx",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
}

#[test]
fn names_of_allowances_are_those_of_json() {
    for allowance in Allowance::ALL {
        assert_eq!(serde_json::to_value(allowance).unwrap(), allowance.name());
    }
}
