//! `adyton audit log`: the enclave's log, from the host that keeps it, held against what the enclave signed.

use super::verify::enclave_key;
use crate::args::{AuditLog, Connection, Head};
use crate::error::CliError;
use crate::output::{self, Table};
use crate::owner::{block_on, connect};
use adyton_client::hex;
use adyton_wire::statement::{AuditEntry, AuditEvent, AuditHead, verify_audit};
use adyton_wire::{DeploymentId, PublicKey};
use serde::Serialize;
use std::collections::BTreeSet;

/// Entries of a log, at most: what a host may make this command hold in memory.
const MAX_ENTRIES: u64 = 1 << 22;

/// One entry, for people and machines.
#[derive(Serialize)]
struct Line {
    sequence: u64,
    time: u64,
    event: &'static str,
    epoch: u32,
    subject: String,
    job: String,
    object: String,
    bits: u64,
}

/// The log, or a deployment's part of it.
#[derive(Serialize)]
struct Report {
    enclave: String,
    /// Entries of the whole log.
    length: u64,
    /// Digest of its last entry.
    digest: String,
    /// Entries up to the last one that a statement of the enclave names; the rest is the host's word.
    anchored: u64,
    sessions: usize,
    released: usize,
    bits: u64,
    committed: usize,
    agreed: usize,
    quarantined: bool,
    entries: Vec<Line>,
}

/// Fetches, checks, prints.
pub(super) fn run(args: &AuditLog, json: bool) -> Result<(), CliError> {
    let enclave = enclave_key(&args.enclave)?;
    let deployment = args.deployment.as_deref().map(super::verify::deployment_id).transpose()?;
    let (entries, head) = block_on(fetch(&args.connection))?;
    let anchored = check(&entries, &enclave, &args.heads)?;
    let entries: Vec<AuditEntry> = match deployment {
        Some(id) => of_deployment(entries, &id),
        None => entries,
    };
    let report = report(&entries, head, anchored, &enclave);
    if json {
        return output::json(&report);
    }
    print(&report)
}

/// Every page, each continuing the chain.
async fn fetch(connection: &Connection) -> Result<(Vec<AuditEntry>, AuditHead), CliError> {
    const FAIL: &str = "the enclave's log cannot be had";
    let host = connect(connection).await?;
    let (mut entries, mut head) = (Vec::new(), AuditHead::default());
    loop {
        let page = host.audit_log(head.length).await.map_err(CliError::part(FAIL))?;
        if page.is_empty() {
            return Ok((entries, head));
        }
        let (more, next) = verify_audit(head, &page).map_err(|error| {
            CliError::part("the host's log is not the enclave's")(error)
                .hint("entries were changed, left out or put in: a chain of digests links them")
        })?;
        entries.extend(more);
        head = next;
        if head.length > MAX_ENTRIES {
            let error = std::io::Error::other(format!("more than {MAX_ENTRIES} entries"));
            return Err(CliError::part(FAIL)(error));
        }
    }
}

/// That the log is this enclave's, and that every head lies on it. Gives the entries up to the last head.
fn check(entries: &[AuditEntry], enclave: &PublicKey, heads: &[Head]) -> Result<u64, CliError> {
    const OTHER: &str = "the host shows another history than the enclave's";
    let other = |what: String| CliError::part(OTHER)(std::io::Error::other(what));
    let mut started = entries.iter().filter(|entry| entry.event == AuditEvent::Started);
    if started.next_back().is_none_or(|entry| entry.subject != enclave.0) {
        return Err(other(format!("it was not begun by the enclave with signing key {enclave}")));
    }
    for Head(head) in heads {
        let index = usize::try_from(head.length.saturating_sub(1)).unwrap_or(usize::MAX);
        let entry = entries.get(index).filter(|_| head.length > 0).ok_or_else(|| {
            other(format!("it has {} entries, the enclave had made {}", entries.len(), head.length))
        })?;
        if entry.digest() != head.digest {
            return Err(other(format!("entry {index} is not the one that the enclave made")));
        }
    }
    Ok(heads.iter().map(|Head(head)| head.length).max().unwrap_or(0))
}

/// What is about a deployment: its registration, its sessions, their jobs.
fn of_deployment(entries: Vec<AuditEntry>, id: &DeploymentId) -> Vec<AuditEntry> {
    let mut sessions = BTreeSet::new();
    let about = |entry: &AuditEntry| match entry.event {
        AuditEvent::Started => false,
        AuditEvent::DeploymentRegistered | AuditEvent::Quarantined => entry.subject == id.0,
        AuditEvent::SessionOpened if entry.object == id.0 => sessions.insert(entry.subject),
        _ => sessions.contains(&entry.subject),
    };
    let mut entries = entries;
    let mut about = about;
    entries.retain(|entry| about(entry));
    entries
}

fn name(event: AuditEvent) -> &'static str {
    match event {
        AuditEvent::Started => "started",
        AuditEvent::DeploymentRegistered => "deployment-registered",
        AuditEvent::SessionOpened => "session-opened",
        AuditEvent::Released => "released",
        AuditEvent::Committed => "committed",
        AuditEvent::AuditAgreed => "audit-agreed",
        AuditEvent::Quarantined => "quarantined",
    }
}

fn report(entries: &[AuditEntry], head: AuditHead, anchored: u64, enclave: &PublicKey) -> Report {
    let count = |event| entries.iter().filter(|entry| entry.event == event).count();
    let line = |entry: &AuditEntry| Line {
        sequence: entry.sequence,
        time: entry.time,
        event: name(entry.event),
        epoch: entry.epoch,
        subject: hex::encode(&entry.subject),
        job: hex::encode(&entry.job),
        object: hex::encode(&entry.object),
        bits: entry.bits,
    };
    Report {
        enclave: enclave.to_string(),
        length: head.length,
        digest: hex::encode(&head.digest),
        anchored,
        sessions: count(AuditEvent::SessionOpened),
        released: count(AuditEvent::Released),
        bits: entries.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.bits)),
        committed: count(AuditEvent::Committed),
        agreed: count(AuditEvent::AuditAgreed),
        quarantined: count(AuditEvent::Quarantined) > 0,
        entries: entries.iter().map(line).collect(),
    }
}

fn print(report: &Report) -> Result<(), CliError> {
    let mut table = Table::new(3, &["event", "subject", "job", "entry", "time", "epoch", "bits"]);
    for line in &report.entries {
        let short = |text: &str| text.get(..16).unwrap_or(text).to_owned();
        table.row(&[
            line.event.to_owned(),
            short(&line.subject),
            short(&line.job),
            line.sequence.to_string(),
            line.time.to_string(),
            line.epoch.to_string(),
            line.bits.to_string(),
        ]);
    }
    let word = match report.anchored {
        0 => "The chain holds within itself. No statement of the enclave was held against it (--head), so the host may have made it up, \
              or left out its end."
            .to_owned(),
        anchored => format!(
            "Up to entry {} it is the enclave's own; what follows holds within itself, and the host may have left out its end.",
            anchored - 1
        ),
    };
    output::text(&format!(
        "{}\n{} of {} entries: {} sessions, {} releases, {} bits; {} commitments, {} audits agreed{}.\n{word}\n\
         Head of the log: {}:{}",
        table.render(),
        report.entries.len(),
        report.length,
        report.sessions,
        report.released,
        report.bits,
        report.committed,
        report.agreed,
        if report.quarantined { ", QUARANTINED" } else { "" },
        report.length,
        report.digest
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(events: &[(AuditEvent, u8, u8)]) -> Vec<AuditEntry> {
        let mut head = AuditHead::default();
        let entry = |&(event, subject, object): &(AuditEvent, u8, u8)| {
            let entry = AuditEntry {
                sequence: head.length,
                time: 7,
                event,
                epoch: 1,
                previous: head.digest,
                subject: [subject; 32],
                job: [0; 16],
                object: [object; 32],
                bits: 5,
            };
            head = entry.head();
            entry
        };
        events.iter().map(entry).collect()
    }

    fn log() -> Vec<AuditEntry> {
        use AuditEvent::{DeploymentRegistered, Released, SessionOpened, Started};
        chain(&[
            (Started, 1, 0),
            (DeploymentRegistered, 2, 9),
            (DeploymentRegistered, 3, 9),
            (SessionOpened, 20, 2),
            (SessionOpened, 30, 3),
            (Released, 20, 8),
            (Released, 30, 8),
        ])
    }

    #[test]
    fn a_deployments_part_is_its_own() {
        let part = of_deployment(log(), &DeploymentId([2; 32]));
        assert_eq!(part.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 3, 5]);
    }

    #[test]
    fn heads_must_lie_on_the_chain_of_this_enclave() {
        let log = log();
        let key = PublicKey([1; 32]);
        assert_eq!(check(&log, &key, &[]).unwrap(), 0);
        assert_eq!(check(&log, &key, &[Head(log[3].head()), Head(log[1].head())]).unwrap(), 4);
        assert!(check(&log, &PublicKey([2; 32]), &[]).is_err());
        assert!(check(&[], &key, &[]).is_err());
        // A log whose end was left out, and one of another history.
        assert!(check(&log[..3], &key, &[Head(log[3].head())]).is_err());
        let another = AuditHead { digest: [0; 32], ..log[3].head() };
        assert!(check(&log, &key, &[Head(another)]).is_err());
        assert!(check(&log, &key, &[Head(AuditHead::default())]).is_err());
    }
}
