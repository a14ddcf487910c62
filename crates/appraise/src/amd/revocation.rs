//! Revocation lists (RFC 5280, section 5). AMD publishes one a product line, signed by the root; it names authorities.

use super::certificate::amd_name;
use super::chain::Chain;
use super::pss::AuthorityKey;
use crate::claims::Validity;
use crate::error::VerifyError;
use crate::time::UnixTime;
use crate::x509;
use der::Encode;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::time::Time;

/// What lists said.
pub(super) struct Checked {
    /// The lists that were applied.
    pub(super) validity: Vec<Validity>,
    /// What a reader should know.
    pub(super) notes: Vec<String>,
}

/// Applies every list that an issuer of the chain signed; others are of other product lines or vendors. What a list past its
/// date names stays revoked; its dates stand in the claims, and appraisal refuses old ones.
///
/// # Errors
/// [`VerifyError`] `revoked`, `bad-signature`, `collateral-not-yet-valid`, `malformed`.
pub(super) fn check(
    chain: &Chain<'_>,
    lists: &[CertificateList],
    at: UnixTime,
) -> Result<Checked, VerifyError> {
    let links = [
        ("ARK", &chain.root_certificate, &chain.authority),
        ("authority", &chain.authority, &chain.leaf),
    ];
    let mut checked = Checked { validity: Vec::new(), notes: Vec::new() };
    for (name, issuer, subject) in links {
        let subject_of = issuer.tbs_certificate().subject();
        for list in lists.iter().filter(|list| &list.tbs_cert_list.issuer == subject_of) {
            let validity = check_list(name, list, issuer, at)?;
            refuse_listed(list, subject)?;
            checked.validity.push(validity);
        }
    }
    if !checked.validity.iter().any(|validity| validity.what.starts_with("ARK")) {
        checked.notes.push(format!(
            "no revocation list of {} was given: whether AMD withdrew its authority is not known",
            amd_name(chain.root_certificate.tbs_certificate().subject()).unwrap_or_default()
        ));
    }
    Ok(checked)
}

fn check_list(
    name: &str,
    list: &CertificateList,
    issuer: &Certificate,
    at: UnixTime,
) -> Result<Validity, VerifyError> {
    let body = &list.tbs_cert_list;
    let malformed = || VerifyError::malformed("a revocation list is not of AMD's form");
    let signed = body.to_der().map_err(|_| malformed())?;
    let key = AuthorityKey::read(&x509::public_key(issuer)?)?;
    if body.signature != list.signature_algorithm
        || !key.signed(&signed, &list.signature_algorithm, &list.signature)
    {
        return Err(VerifyError::new(
            "bad-signature",
            "a revocation list is not signed by its issuer",
            "the list was altered: fetch it again",
        ));
    }
    // What makes a list indirect or partial is critical: such a list would be misread here.
    let extensions = body.crl_extensions.iter().flatten();
    let entries = body.revoked_certificates.iter().flatten();
    let of_entries = entries.filter_map(|entry| entry.crl_entry_extensions.as_ref()).flatten();
    if extensions.chain(of_entries).any(|extension| extension.critical) {
        return Err(malformed());
    }
    let seconds = |time: &Time| UnixTime(time.to_unix_duration().as_secs());
    let validity = Validity {
        what: format!("{name} revocation list"),
        not_before: seconds(&body.this_update),
        not_after: body.next_update.as_ref().map_or(UnixTime::MAX, seconds),
    };
    let not_before = &validity.not_before;
    if at < *not_before {
        return Err(VerifyError::new(
            "collateral-not-yet-valid",
            format!("a revocation list was issued at {not_before}, and {at} is earlier"),
            "give the revocation list of the time of verification",
        ));
    }
    Ok(validity)
}

fn refuse_listed(list: &CertificateList, subject: &Certificate) -> Result<(), VerifyError> {
    let serial = subject.tbs_certificate().serial_number();
    let mut entries = list.tbs_cert_list.revoked_certificates.iter().flatten();
    match entries.find(|entry| &entry.serial_number == serial) {
        None => Ok(()),
        Some(entry) => Err(VerifyError::new(
            "revoked",
            format!(
                "the certificate of {} was revoked at {}",
                amd_name(subject.tbs_certificate().subject()).unwrap_or_default(),
                UnixTime(entry.revocation_date.to_unix_duration().as_secs())
            ),
            "no report under it proves anything: use another machine, or certificates that AMD has renewed",
        )),
    }
}
