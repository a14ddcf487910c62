//! SEV-SNP evidence under a test root: what AMD's hardware never sends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod snp;

use adyton_appraise::{Claims, Endorsements, TrustStore, VerifyError, verify};
use snp::{World, integer, noon, revocation_list, tlv};

fn run(world: &World, endorsements: &Endorsements) -> Result<Claims, VerifyError> {
    verify(&world.signed_report(), endorsements, &world.store(), noon())
}

/// The code of the world's evidence after a change.
fn code(change: impl FnOnce(&mut World)) -> &'static str {
    let mut world = World::milan();
    change(&mut world);
    run(&world, &world.endorsements()).err().map_or("accepted", |error| error.code)
}

#[test]
fn a_test_root_makes_simulated_claims() {
    let world = World::milan();
    let claims = run(&world, &world.endorsements()).unwrap();
    assert!(claims.simulated && claims.root.test);
    assert_eq!(claims.root.name, "test ARK");
    assert_eq!(claims.generation.as_deref(), Some("Milan"));
    assert_eq!(claims.identity["chip-id"], "c1".repeat(64));
    assert_eq!((claims.smt, claims.migratable, claims.vmpl), (Some(true), Some(false), Some(0)));
    let production = TrustStore::production();
    let error = verify(&world.signed_report(), &world.endorsements(), &production, noon());
    // AMD's own authority of the same name did not sign the key, and the one given is of no root of the store.
    assert_eq!(error.unwrap_err().code, "untrusted-root");
}

#[test]
fn versions_and_flags() {
    let flagged = |at: usize, bytes: &'static [u8]| code(move |world| world.patch(at, bytes));
    assert_eq!(flagged(0, &[4]), "accepted");
    assert_eq!(flagged(0, &[5]), "accepted");
    assert_eq!(flagged(0, &[6]), "unsupported-version");
    assert_eq!(flagged(0, &[1]), "unsupported-version");
    assert_eq!(flagged(0, &[2]), "malformed", "version 2 has no processor identity");
    assert_eq!(flagged(0x1F8, &[1]), "malformed", "version 3 has no mitigation vectors");
    assert_eq!(flagged(0x0A, &[1]), "malformed", "bit 17 of the policy is one");
    assert_eq!(flagged(0x0B, &[4]), "malformed", "bit 26 of the policy is reserved");
    assert_eq!(flagged(0x41, &[1]), "malformed", "bit 8 of the platform is reserved");
    assert_eq!(flagged(0x30, &[0xFF; 4]), "unsupported-format", "the host asked");
    assert_eq!(flagged(0x48, &[2]), "unsigned", "MASK_CHIP_KEY");
    assert_eq!(flagged(0x48, &[7 << 2]), "unsigned", "SIGNING_KEY none");
    assert_eq!(flagged(0x48, &[1]), "malformed", "an author key without its digest");
    assert_eq!(flagged(0x110, &[1]), "malformed", "an author key's digest without the key");
    assert_eq!(flagged(0x48, &[1 << 2]), "certificates-missing", "signed by a VLEK");
    assert_eq!(flagged(0x29F, &[1]), "malformed", "reserved, though signed");
    let debug = |world: &mut World| world.patch(0x0A, &[0x0F]);
    let mut world = World::milan();
    debug(&mut world);
    let claims = run(&world, &world.endorsements()).unwrap();
    assert!(claims.debug && claims.migratable == Some(true));
}

#[test]
fn product_lines_agree() {
    assert_eq!(
        code(|w| w.patch(0x188, &[0x19, 0x11])),
        "certificate-mismatch",
        "Genoa's processor"
    );
    assert_eq!(code(|w| w.patch(0x188, &[0x17, 0x31])), "certificate-mismatch", "no SNP at all");
    let product = |name: &'static [u8]| {
        code(move |world| world.set_extension("1.3.6.1.4.1.3704.1.2", tlv(22, name)))
    };
    assert_eq!(product(b"Milan"), "accepted");
    assert_eq!(product(b"Genoa"), "certificate-mismatch");
    assert_eq!(product(b""), "certificate-mismatch");
    // Another line's authority under this line's root.
    let genoa = |world: &mut World| {
        world.leaf.issuer = "SEV-Genoa".to_owned();
        world.authority.subject = "SEV-Genoa".to_owned();
    };
    assert_eq!(code(genoa), "certificate-mismatch");
    let unnamed = |world: &mut World| {
        world.root.subject = "ARK-Venice".to_owned();
        world.authority.issuer = "ARK-Venice".to_owned();
    };
    assert_eq!(code(unnamed), "untrusted-root");
}

#[test]
fn firmware_versions_and_chip_are_the_certificates() {
    for part in ["3.1", "3.2", "3.3", "3.8"] {
        let id = format!("1.3.6.1.4.1.3704.1.{part}");
        assert_eq!(code(|w| w.set_extension(&id, integer(99))), "certificate-mismatch", "{part}");
        assert_eq!(code(|w| w.set_extension(&id, integer(256))), "malformed", "{part}");
        let without = |world: &mut World| world.leaf.extensions.retain(|(own, ..)| *own != id);
        assert_eq!(code(without), "certificate-mismatch", "{part}");
    }
    let fmc = |world: &mut World| {
        world.leaf.extensions.push(("1.3.6.1.4.1.3704.1.3.9", false, integer(0)));
    };
    assert_eq!(code(fmc), "certificate-mismatch", "Milan has no FMC");
    assert_eq!(code(|w| w.patch(0x182, &[1])), "malformed", "a reserved byte of the versions");
    assert_eq!(code(|w| w.patch(0x1A0, &[0xC2])), "certificate-mismatch", "another chip");
    let short = |w: &mut World| w.set_extension("1.3.6.1.4.1.3704.1.4", vec![0xC1; 8]);
    assert_eq!(code(short), "certificate-mismatch");
    // The chip's id may be left out: the certificate names it.
    let mut world = World::milan();
    world.patch(0x1A0, &[0; 64]);
    let claims = run(&world, &world.endorsements()).unwrap();
    assert_eq!(claims.identity["chip-id"], "c1".repeat(64));
    assert!(claims.notes.iter().any(|note| note.contains("MASK_CHIP_ID")));
}

#[test]
fn certificates_are_of_amds_form() {
    let before = ("270101000000Z", "320101000000Z");
    let after = ("200101000000Z", "260101000000Z");
    assert_eq!(code(|w| w.leaf.dates = before), "certificate-not-yet-valid");
    assert_eq!(code(|w| w.leaf.dates = after), "certificate-expired");
    assert_eq!(code(|w| w.authority.dates = after), "certificate-expired");
    assert_eq!(code(|w| w.root.dates = after), "certificate-expired");
    let unknown = ("1.2.3.4", true, integer(1));
    assert_eq!(code(|w| w.leaf.extensions.push(unknown.clone())), "malformed");
    assert_eq!(code(|w| w.authority.extensions.push(unknown)), "malformed");
    let authority = || snp::authority_extensions();
    assert_eq!(code(|w| w.leaf.extensions.extend(authority())), "certificate-mismatch");
    assert_eq!(code(|w| w.authority.extensions.clear()), "certificate-mismatch");
    assert_eq!(code(|w| w.authority.extensions.truncate(1)), "certificate-mismatch");
    let twice = |world: &mut World| {
        let chip = world.leaf.extensions[2].clone();
        world.leaf.extensions.push(chip);
    };
    assert_eq!(code(twice), "malformed");
    // The leaf signed by the root itself, or by a stranger.
    assert_eq!(code(|w| std::mem::swap(&mut w.root_key, &mut w.authority_key)), "bad-signature");
    let nobody = |world: &mut World| world.leaf.issuer = "SEV-Nobody".to_owned();
    assert_eq!(code(nobody), "certificates-missing");
}

/// The same world with a key that a cloud loaded.
fn loaded() -> World {
    let mut world = World::milan();
    world.patch(0x48, &[1 << 2]);
    world.leaf.subject = "SEV-VLEK".to_owned();
    world.leaf.issuer = "SEV-VLEK-Milan".to_owned();
    world.authority.subject = "SEV-VLEK-Milan".to_owned();
    world.leaf.extensions.retain(|(id, ..)| *id != "1.3.6.1.4.1.3704.1.4");
    world.leaf.extensions.push(("1.3.6.1.4.1.3704.1.5", false, tlv(22, b"CN=cloud")));
    world
}

#[test]
fn loaded_keys_have_an_authority_of_their_own() {
    let world = loaded();
    let claims = run(&world, &world.endorsements()).unwrap();
    assert_eq!(claims.identity["signing-key"], "VLEK");
    assert_eq!(claims.identity["cloud"], "CN=cloud");
    let mut by_chips_authority = loaded();
    by_chips_authority.leaf.issuer = "SEV-Milan".to_owned();
    by_chips_authority.authority.subject = "SEV-Milan".to_owned();
    let error = run(&by_chips_authority, &by_chips_authority.endorsements()).unwrap_err();
    assert_eq!(error.code, "certificate-mismatch");
    // A report that says VCEK is not signed by a VLEK.
    let mut mixed = loaded();
    mixed.patch(0x48, &[0]);
    assert_eq!(run(&mixed, &mixed.endorsements()).unwrap_err().code, "certificates-missing");
    let mut nameless = loaded();
    nameless.leaf.extensions.pop();
    assert_eq!(run(&nameless, &nameless.endorsements()).unwrap_err().code, "certificate-mismatch");
}

#[test]
fn revocation_lists_are_applied() {
    let world = World::milan();
    const CURRENT: (&str, &str) = ("260501000000Z", "270501000000Z");
    let with = |list: Vec<u8>| {
        let endorsements = Endorsements { collateral: vec![list], ..world.endorsements() };
        run(&world, &endorsements)
    };
    let by_root =
        |dates, revoked: &[u64]| revocation_list("ARK-Milan", dates, revoked, &world.root_key);
    let by_authority =
        |revoked: &[u64]| revocation_list("SEV-Milan", CURRENT, revoked, &world.authority_key);
    let missing = |claims: &Claims| claims.notes.iter().any(|n| n.contains("no revocation list"));
    let claims = with(by_root(CURRENT, &[])).unwrap();
    assert!(!missing(&claims));
    assert_eq!(claims.validity.last().unwrap().what, "ARK revocation list");
    assert!(!missing(&with(by_root(CURRENT, &[1, 2, 0x2_0001])).unwrap()));
    assert_eq!(with(by_root(CURRENT, &[5, 0x1_0001])).unwrap_err().code, "revoked");
    assert_eq!(with(by_authority(&[0])).unwrap_err().code, "revoked");
    assert!(missing(&with(by_authority(&[1])).unwrap()), "that list is not the root's");
    // A list past its date still revokes; where it does not, its dates tell.
    let old = ("250501000000Z", "260101000000Z");
    assert_eq!(with(by_root(old, &[0x1_0001])).unwrap_err().code, "revoked");
    assert_eq!(
        with(by_root(old, &[])).unwrap().validity.last().unwrap().not_after.0,
        1_767_225_600
    );
    let future = ("270101000000Z", "280101000000Z");
    assert_eq!(with(by_root(future, &[])).unwrap_err().code, "collateral-not-yet-valid");
    // Signed by somebody else.
    let forged = revocation_list("ARK-Milan", CURRENT, &[], &world.authority_key);
    assert_eq!(with(forged).unwrap_err().code, "bad-signature");
    // As PEM, and of another line.
    let pem =
        der::pem::encode_string("X509 CRL", der::pem::LineEnding::LF, &by_root(CURRENT, &[5]));
    assert!(!missing(&with(pem.unwrap().into_bytes()).unwrap()));
    let genoa = revocation_list("ARK-Genoa", CURRENT, &[0x1_0001], &world.root_key);
    assert!(missing(&with(genoa).unwrap()));
    // Collateral of other vendors is none of ours; a list that is cut off is.
    assert!(missing(&with(b"{\"tcb_info\": 1}".to_vec()).unwrap()));
    let cut = by_root(CURRENT, &[5]);
    assert_eq!(with(cut[..cut.len() - 1].to_vec()).unwrap_err().code, "malformed");
}

#[test]
fn no_byte_of_a_revocation_list_can_change() {
    let world = World::milan();
    let dates = ("260501000000Z", "270501000000Z");
    let mut list = revocation_list("ARK-Milan", dates, &[5], &world.root_key);
    let (report, store) = (world.signed_report(), world.store());
    let mut endorsements = Endorsements { collateral: vec![Vec::new()], ..world.endorsements() };
    let mut without = 0;
    for at in 0..list.len() {
        list[at] ^= 1 << (at % 8);
        endorsements.collateral[0].clone_from(&list);
        // Changed names make it a list of somebody else, as if none had been given: then the claims say so.
        if let Ok(claims) = verify(&report, &endorsements, &store, noon()) {
            assert!(claims.notes.iter().any(|n| n.contains("no revocation list")), "byte {at}");
            without += 1;
        }
        list[at] ^= 1 << (at % 8);
    }
    assert!(without < 120, "{without}");
}
