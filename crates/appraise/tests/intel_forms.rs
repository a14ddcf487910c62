//! Quotes of every version by a test vendor: those that dcap-qvl takes by itself, and those that it takes in another form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod intel_made;
mod pki;

use adyton_appraise::policy::Allowance;
use adyton_appraise::{Claims, Policy, UnixTime, Verdict, VerifyError, appraise, verify};
use intel_made::{ATTRIBUTES, Tee, World, domain, domain_1_5, enclave, signed_part};
use pki::{HALF, NOW};

const AT: UnixTime = UnixTime(NOW);
const MIGRATABLE: u8 = 1 << 5;

fn world() -> World {
    World { name: "test vendor", dates: (NOW - HALF, NOW + HALF) }
}

fn check(world: &World, quote: &[u8], tee: Tee) -> Result<Claims, VerifyError> {
    verify(quote, &world.endorsements(tee), &world.store(), AT)
}

/// A migratable trust domain's report.
fn migratable(mut report: Vec<u8>) -> Vec<u8> {
    report[ATTRIBUTES + 3] |= MIGRATABLE;
    report
}

#[test]
fn an_enclave_says_the_same_in_every_version() {
    let world = world();
    let claims =
        |version| check(&world, &world.quote(version, Tee::Sgx, 1, &enclave()), Tee::Sgx).unwrap();
    let [three, four, five] = [3, 4, 5].map(claims);
    assert_eq!(three.format, "quote v3, SGX enclave");
    assert!(three.simulated && !three.debug && three.migratable.is_none());
    assert_eq!(three.measurements["mrenclave"].to_string(), "e1".repeat(32));
    for (other, format) in [(four, "quote v4, SGX enclave"), (five, "quote v5, SGX enclave")] {
        assert_eq!(other.format, format);
        assert_eq!(Claims { format: three.format.clone(), ..other }, three);
    }
}

#[test]
fn a_signature_counts_for_the_bytes_that_were_signed() {
    let world = world();
    let part = |version, kind| signed_part(version, Tee::Sgx, kind, &enclave());
    for version in [4, 5] {
        // Signed in the form in which it is presented to the crate, or in that of the other version.
        for other in [3, 4, 5].into_iter().filter(|other| *other != version) {
            let quote =
                world.quote_signed_as(&part(version, 1), version, Tee::Sgx, |_| part(other, 1));
            let error = check(&world, &quote, Tee::Sgx).unwrap_err();
            assert_eq!(error.code, "bad-signature", "v{version} signed as v{other}");
        }
    }
    let quote = world.quote_signed_as(&part(3, 1), 3, Tee::Sgx, |_| part(4, 1));
    assert_eq!(check(&world, &quote, Tee::Sgx).unwrap_err().code, "bad-signature");
}

#[test]
fn the_kind_of_a_body_is_told_twice_and_the_same() {
    let world = world();
    let code = |tee, kind, body: &[u8]| {
        check(&world, &world.quote(5, tee, kind, body), tee).map_err(|error| error.code)
    };
    assert!(code(Tee::Sgx, 1, &enclave()).is_ok());
    assert!(code(Tee::Tdx, 2, &domain()).is_ok());
    assert!(code(Tee::Tdx, 3, &domain_1_5()).is_ok());
    assert_eq!(code(Tee::Sgx, 2, &domain()).unwrap_err(), "malformed");
    assert_eq!(code(Tee::Tdx, 1, &enclave()).unwrap_err(), "malformed");
    assert_eq!(code(Tee::Sgx, 2, &enclave()).unwrap_err(), "truncated");
}

/// Collateral of trust domains is not for enclaves, in no version.
#[test]
fn collateral_is_of_the_same_kind() {
    let world = world();
    for version in [3, 4, 5] {
        let quote = world.quote(version, Tee::Sgx, 1, &enclave());
        let error = check(&world, &quote, Tee::Tdx).unwrap_err();
        assert_eq!(error.code, "collateral-mismatch", "v{version}");
    }
}

#[test]
fn a_migratable_domain_is_a_claim_that_policies_judge() {
    let world = world();
    for (version, kind, report) in [(4, 2, domain()), (5, 2, domain()), (5, 3, domain_1_5())] {
        let quote = |report: &[u8]| world.quote(version, Tee::Tdx, kind, report);
        let fixed = check(&world, &quote(&report), Tee::Tdx).unwrap();
        assert_eq!(fixed.migratable, Some(false));
        let moving = migratable(report.clone());
        let claims = check(&world, &quote(&moving), Tee::Tdx).unwrap();
        assert_eq!(claims.migratable, Some(true));
        assert_eq!((&claims.format, &claims.measurements), (&fixed.format, &fixed.measurements));
        assert_ne!(claims.identity["td-attributes"], fixed.identity["td-attributes"]);

        let mut policy = Policy::for_program_of(&claims);
        policy.accept.values_mut().for_each(|rule| rule.allow.extend([Allowance::Simulated]));
        let Verdict::Refused { reasons } = appraise(&claims, &policy, AT) else { panic!() };
        assert_eq!(reasons.iter().map(|r| r.code).collect::<Vec<_>>(), ["migratable"]);
        policy.accept.values_mut().for_each(|rule| rule.allow.extend([Allowance::Migratable]));
        assert!(matches!(appraise(&claims, &policy, AT), Verdict::Accepted { .. }));

        // Neither attribute can be put in the other's place after signing.
        let part = |report: &[u8]| signed_part(version, Tee::Tdx, kind, report);
        for (shown, signed) in [(&moving, &report), (&report, &moving)] {
            let quote = world.quote_signed_as(&part(shown), version, Tee::Tdx, |_| part(signed));
            assert_eq!(check(&world, &quote, Tee::Tdx).unwrap_err().code, "bad-signature");
        }
    }
}

/// One bit of every byte but of certificates, where every sixteenth: refused, or the claims stay equal.
fn flips(quote: &[u8], tee: Tee) {
    let world = world();
    let (endorsements, store) = (world.endorsements(tee), world.store());
    let claims = verify(quote, &endorsements, &store, AT).unwrap();
    let signed_and_keys = quote.windows(11).position(|at| at == b"-----BEGIN ").unwrap();
    let places = (0..signed_and_keys).chain((signed_and_keys..quote.len()).step_by(16));
    for at in places {
        let mut bent = quote.to_vec();
        bent[at] ^= 1 << (at % 8);
        if let Ok(other) = verify(&bent, &endorsements, &store, AT) {
            assert_eq!(other, claims, "byte {at}");
            assert!(at >= signed_and_keys, "byte {at}");
        }
    }
}

#[test]
fn every_flipped_byte_of_an_sgx_quote_v4() {
    flips(&world().quote(4, Tee::Sgx, 1, &enclave()), Tee::Sgx);
}

#[test]
fn every_flipped_byte_of_an_sgx_quote_v5() {
    flips(&world().quote(5, Tee::Sgx, 1, &enclave()), Tee::Sgx);
}

#[test]
fn every_flipped_byte_of_a_migratable_domains_quote() {
    flips(&world().quote(5, Tee::Tdx, 3, &migratable(domain_1_5())), Tee::Tdx);
}
