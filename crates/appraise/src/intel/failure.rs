//! Names for what dcap-qvl refuses. It gives text; the crate is pinned to one version, and tests hold the codes.

use crate::error::VerifyError;

/// Text that tells a failure, its code, what would help. The first that occurs counts, so what is more specific stands first.
const FAILURES: [(&str, &str, &str); 34] = [
    ("CertRevoked", "revoked", REVOKED),
    ("status is invalid: Revoked", "revoked", REVOKED),
    ("No matching TCB level", "tcb-unknown", UPDATE),
    ("No TDX module identity", "tcb-unknown", UPDATE),
    ("TDX module ISVSVN", "tcb-unknown", UPDATE),
    ("No matching QE TCB level", "tcb-unknown", UPDATE),
    ("Fmspc mismatch", "collateral-mismatch", OWN_COLLATERAL),
    ("non-TDX TCB info", "collateral-mismatch", OWN_COLLATERAL),
    ("non-SGX TCB info", "collateral-mismatch", OWN_COLLATERAL),
    ("Unsupported QE Identity", "collateral-mismatch", OWN_COLLATERAL),
    ("UnknownRevocationStatus", "collateral-mismatch", OWN_COLLATERAL),
    ("TCBInfo expired", "collateral-expired", FRESH),
    ("QE Identity expired", "collateral-expired", FRESH),
    ("CrlExpired", "collateral-expired", FRESH),
    ("issue date is in the future", "collateral-not-yet-valid", FRESH),
    ("CertExpired", "certificate-expired", FRESH),
    ("CertNotValidYet", "certificate-not-yet-valid", FRESH),
    ("root CA CRL: BadDer", "malformed", FRESH),
    ("Failed to parse root CA CRL", "untrusted-root", ROOT),
    ("UnknownIssuer", "untrusted-root", ROOT),
    ("ignature is invalid", "bad-signature", UNALTERED),
    ("InvalidSignatureForPublicKey", "bad-signature", UNALTERED),
    ("InvalidCrlSignatureForPublicKey", "bad-signature", UNALTERED),
    ("QE report hash mismatch", "bad-signature", UNALTERED),
    ("SEPT_VE_DISABLE", "unsafe-attributes", SEPT),
    ("Reserved bits", "unsafe-attributes", RESERVED),
    ("TDX module", "tdx-module", MODULE),
    ("QE MRSIGNER", "quoting-enclave", QUOTING),
    ("QE ISVPRODID", "quoting-enclave", QUOTING),
    ("QE MISCSELECT", "quoting-enclave", QUOTING),
    ("QE ATTRIBUTES", "quoting-enclave", QUOTING),
    ("QE report validation", "quoting-enclave", QUOTING),
    ("Unsupported DCAP PCK cert format", "certificates-missing", PCK),
    ("Certificate chain is too short", "certificates-missing", PCK),
];

const REVOKED: &str =
    "no measure of the verifier's helps: the vendor has withdrawn the platform or its key";
const UPDATE: &str = "the platform's firmware is older than any level that Intel lists: update it, then fetch evidence again";
const OWN_COLLATERAL: &str =
    "fetch the collateral of this quote's own FMSPC and certification authority";
const FRESH: &str = "fetch the collateral again, or verify at the time when it was fetched";
const ROOT: &str =
    "evidence and collateral must both come from the vendor whose root the trust store holds";
const UNALTERED: &str = "fetch evidence and collateral again, unaltered";
const SEPT: &str = "start the trust domain with the SEPT_VE_DISABLE attribute";
const RESERVED: &str = "the trust domain's attributes need a newer verifier";
const MODULE: &str = "the platform must run a TDX module that Intel signed and lists";
const QUOTING: &str = "the platform must quote with Intel's own quoting enclave";
const PCK: &str = "the quote must carry its PCK certificate chain (certification data of type 5), or the collateral must";

/// The error that this text tells.
pub(super) fn named(text: &str) -> VerifyError {
    let (_, code, help) = FAILURES.iter().find(|(part, ..)| text.contains(part)).unwrap_or(&(
        "",
        "malformed",
        UNALTERED,
    ));
    VerifyError::new(code, format!("the quote does not verify: {text}"), *help)
}
