use super::*;
use crate::claims::{Digest, Kind, Root, TcbClaim, TcbStatus, Validity};
use crate::policy::{Allowance, Rule};

const NOW: UnixTime = UnixTime(1000);

fn claims() -> Claims {
    Claims {
        kind: Kind::Tdx,
        format: "quote".into(),
        root: Root { name: "root".into(), sha256: Digest::of(b"root"), test: false },
        generation: Some("b0".into()),
        tcb: TcbClaim {
            status: TcbStatus::UpToDate,
            advisories: vec![],
            detail: [("pce-svn".to_owned(), "11".to_owned())].into(),
        },
        measurements: ["mrtd", "rtmr0", "rtmr3"]
            .map(|n| (n.to_owned(), Bytes::from([7; 48])))
            .into(),
        report_data: Bytes::from([1, 2, 0, 0]),
        nonce: None,
        public_key: None,
        debug: false,
        migratable: Some(false),
        smt: Some(false),
        vmpl: None,
        simulated: false,
        identity: [("ppid".to_owned(), "ab".to_owned())].into(),
        validity: vec![
            Validity {
                what: "PCK certificate".into(),
                not_before: UnixTime(0),
                not_after: UnixTime(9000),
            },
            Validity {
                what: "TCB info".into(),
                not_before: UnixTime(500),
                not_after: UnixTime(2000),
            },
        ],
        issued_at: None,
        notes: vec![],
    }
}

fn codes(claims: &Claims, policy: &Policy) -> Vec<&'static str> {
    match appraise(claims, policy, NOW) {
        Verdict::Accepted(_) => vec![],
        Verdict::Refused { reasons } => reasons.iter().map(|r| r.code).collect(),
    }
}

fn own_policy() -> Policy {
    Policy::for_program_of(&claims())
}

fn with(change: impl FnOnce(&mut Rule)) -> Policy {
    let mut policy = own_policy();
    change(policy.accept.get_mut(&Kind::Tdx).unwrap());
    policy
}

#[test]
fn the_empty_policy_refuses_for_every_reason() {
    let refused = codes(&claims(), &Policy::default());
    assert_eq!(
        refused,
        ["kind", "root", "generation", "measurement-unnamed", "measurement-unnamed", "tcb-status"]
    );
}

#[test]
fn a_policy_of_the_claims_accepts_them_until_the_first_end() {
    let Verdict::Accepted(accepted) = appraise(&claims(), &own_policy(), NOW) else { panic!() };
    assert_eq!(accepted.expires_at(), UnixTime(2000));
    let warned: Vec<_> = accepted.warnings().iter().map(|w| w.code).collect();
    assert_eq!(warned, ["unbound", "expires-soon", "expires-soon"]);
    let bounded = with(|rule| rule.max_collateral_age_seconds = Some(600));
    let Verdict::Accepted(accepted) = appraise(&claims(), &bounded, NOW) else { panic!() };
    assert_eq!(accepted.expires_at(), UnixTime(1100));
}

type Change = fn(&mut Claims);

#[test]
fn what_the_policy_does_not_name_is_refused() {
    let changes: [(&str, Change); 18] = [
        ("kind", |c| c.kind = Kind::Sgx),
        ("root", |c| c.root.sha256 = Digest::of(b"other")),
        ("generation", |c| c.generation = Some("c0".into())),
        ("measurement", |c| drop(c.measurements.insert("rtmr3".into(), Bytes::from([8; 48])))),
        ("measurement-missing", |c| drop(c.measurements.remove("rtmr3"))),
        ("zero-measurement", |c| drop(c.measurements.insert("mrtd".into(), Bytes::from([0; 48])))),
        ("tcb-status", |c| c.tcb.status = TcbStatus::OutOfDate),
        ("tcb-status", |c| c.tcb.status = TcbStatus::Unknown),
        ("advisory", |c| c.tcb.advisories.push("INTEL-SA-1".into())),
        ("tcb-version", |c| drop(c.tcb.detail.insert("pce-svn".into(), "10".into()))),
        ("tcb-version", |c| drop(c.tcb.detail.insert("pce-svn".into(), "+11".into()))),
        ("debug", |c| c.debug = true),
        ("simulated", |c| c.root.test = true),
        ("migratable", |c| c.migratable = Some(true)),
        ("smt", |c| c.smt = Some(true)),
        ("dynamic-platform", |c| drop(c.identity.insert("dynamic-platform".into(), "true".into()))),
        ("vmpl", |c| c.vmpl = Some(0)),
        ("not-yet-valid", |c| c.issued_at = Some(UnixTime(1001))),
    ];
    for (code, change) in changes {
        let mut claims = claims();
        change(&mut claims);
        let refused = codes(&claims, &own_policy());
        assert!(refused.contains(&code), "{code}: {refused:?}");
    }
}

#[test]
fn what_the_policy_names_is_accepted() {
    let mut weak = claims();
    weak.debug = true;
    weak.smt = Some(true);
    weak.tcb.status = TcbStatus::OutOfDate;
    weak.tcb.advisories.push("INTEL-SA-1".into());
    assert_eq!(codes(&weak, &own_policy()), ["tcb-status", "advisory", "debug", "smt"]);
    let policy = with(|rule| {
        rule.allow = vec![Allowance::Debug, Allowance::Smt];
        rule.tcb_statuses.push(TcbStatus::OutOfDate);
        rule.advisories.push("INTEL-SA-1".into());
    });
    assert!(codes(&weak, &policy).is_empty());
    weak.tcb.status = TcbStatus::Revoked;
    let policy = with(|rule| rule.tcb_statuses.push(TcbStatus::Revoked));
    assert!(codes(&weak, &policy).contains(&"tcb-status"));
}

#[test]
fn expired_collateral_needs_a_name_and_a_bound() {
    let mut old = claims();
    if let Some(info) = old.validity.last_mut() {
        info.not_after = UnixTime(900);
    }
    assert_eq!(codes(&old, &own_policy()), ["collateral-expired"]);
    let named = with(|rule| rule.allow.push(Allowance::ExpiredCollateral));
    assert_eq!(codes(&old, &named), ["collateral-expired"]);
    let bounded = |age| {
        with(|rule| {
            rule.allow.push(Allowance::ExpiredCollateral);
            rule.max_collateral_age_seconds = Some(age);
        })
    };
    assert_eq!(codes(&old, &bounded(499)), ["collateral-too-old"]);
    let Verdict::Accepted(accepted) = appraise(&old, &bounded(500), NOW) else { panic!() };
    assert_eq!(accepted.expires_at(), NOW);
    assert!(accepted.warnings().iter().any(|w| w.code == "expired"));
    if let Some(certificate) = old.validity.first_mut() {
        certificate.not_after = UnixTime(900);
    }
    assert_eq!(codes(&old, &bounded(500)), ["certificate-expired"]);
}

#[test]
fn ages_of_evidence_are_bounded_where_it_has_a_date() {
    let policy = with(|rule| rule.max_evidence_age_seconds = Some(100));
    let mut dated = claims();
    assert_eq!(codes(&dated, &policy), ["evidence-undated"]);
    dated.issued_at = Some(UnixTime(899));
    assert_eq!(codes(&dated, &policy), ["evidence-too-old"]);
    dated.issued_at = Some(UnixTime(900));
    assert!(codes(&dated, &policy).is_empty());
}

#[test]
fn report_data_nonce_and_platform_must_answer() {
    let expect = |data: &[u8]| Expected { report_data: Some(data.into()), nonce: None };
    for (data, accepted) in [
        (&[1, 2][..], true),
        (&[1, 2, 0, 0], true),
        (&[1], false),
        (&[], false),
        (&[1, 2, 0, 0, 0], false),
    ] {
        let verdict = appraise_challenged(&claims(), &own_policy(), &expect(data), NOW);
        assert_eq!(matches!(verdict, Verdict::Accepted(_)), accepted, "{data:?}");
    }
    let nonce = Expected { report_data: None, nonce: Some([1].into()) };
    let verdict = appraise_challenged(&claims(), &own_policy(), &nonce, NOW);
    assert!(matches!(verdict, Verdict::Refused { reasons } if reasons.len() == 1));
    let policy = with(|rule| {
        rule.report_data = vec![[9].into()];
        rule.identity = [("ppid".to_owned(), vec!["AB".to_owned()])].into();
    });
    assert_eq!(codes(&claims(), &policy), ["report-data"]);
    let policy =
        with(|rule| rule.identity = [("chip-id".to_owned(), vec!["ab".to_owned()])].into());
    assert_eq!(codes(&claims(), &policy), ["identity"]);
}
