//! Changes of the state, as they stand in sealed records.

use adyton_wire::message::Released;
use adyton_wire::statement::{
    AuditFinding, DeploymentStatement, Fields, JobStatement, Quarantine, SessionStatement, Source,
    Statement,
};
use adyton_wire::{InstanceId, ObjectId, Signed, WireError};

use crate::vault::Seed;

/// One change. Owners' statements stand in it as they were signed, so that a record proves itself.
pub(crate) enum Event {
    /// The state began, or another epoch in it.
    Begun {
        /// Its id, another in every epoch.
        instance: InstanceId,
        /// Epoch of all keys made from here on.
        epoch: u32,
        /// Seed of the Ed25519 key.
        signing: Seed,
        /// Seed of the X-Wing key.
        sealing: Seed,
    },
    /// A deployment was registered.
    Deployment {
        /// Signed by the model owner.
        statement: Signed<DeploymentStatement>,
        /// Encoded program; empty when an earlier record has it.
        program: Vec<u8>,
        /// Seed of the model key.
        seed: Seed,
    },
    /// A session was opened.
    Session {
        /// Signed by the data owner.
        statement: Signed<SessionStatement>,
        /// Seed of the input key.
        input: Seed,
        /// The enclave's own secret of the session: result key and key generation derive from it.
        secret: Seed,
    },
    /// A job was released.
    Release(Release),
    /// A host committed to an execution, in a deployment with audits. Every such record has the same length, whatever the draw:
    /// who watches the disk learns nothing before the record counts.
    Committed(Commitment),
    /// An auditor's finding was taken.
    Finding(Finding),
}

/// A host's commitment.
pub(crate) struct Commitment {
    /// Signed by the data owner.
    pub(crate) job: Signed<JobStatement>,
    /// The bundle of evaluation keys.
    pub(crate) keys: ObjectId,
    /// Digest of the result ciphertexts.
    pub(crate) ciphertexts: [u8; 32],
    /// Bits charged.
    pub(crate) bits: u64,
}

/// A finding and what it led to.
pub(crate) struct Finding {
    /// Signed by the auditor.
    pub(crate) finding: Signed<AuditFinding>,
    /// Where it differs from the host's commitment: signed by the enclave.
    pub(crate) quarantine: Option<Signed<Quarantine>>,
}

/// A release as the state remembers it.
pub(crate) struct Release {
    /// Signed by the data owner.
    pub(crate) job: Signed<JobStatement>,
    /// The bundle of evaluation keys.
    pub(crate) keys: ObjectId,
    /// Digest of the result ciphertexts.
    pub(crate) ciphertexts: [u8; 32],
    /// Bits charged.
    pub(crate) bits: u64,
    /// Digest of the sealed result.
    pub(crate) result: [u8; 32],
    /// The reply, given again to the same request.
    pub(crate) reply: Released,
}

/// A change and when it happened.
pub(crate) struct Record {
    /// Second since 1970, as the host told it.
    pub(crate) time: u64,
    /// What happened.
    pub(crate) event: Event,
}

fn seed(fields: &mut Source<'_>) -> Result<Seed, WireError> {
    Ok(Seed::new(fields.array("seed")?))
}

impl Statement for Record {
    const DOMAIN: &'static str = "adyton/v1/enclave-state";

    fn write(&self, fields: &mut Fields) {
        fields.u64(self.time);
        match &self.event {
            Event::Begun { instance, epoch, signing, sealing } => {
                fields.u32(1);
                fields.bytes(instance.as_bytes());
                fields.u32(*epoch);
                fields.bytes(signing.as_slice());
                fields.bytes(sealing.as_slice());
            }
            Event::Deployment { statement, program, seed } => {
                fields.u32(2);
                fields.bytes(&statement.encode());
                fields.bytes(program);
                fields.bytes(seed.as_slice());
            }
            Event::Session { statement, input, secret } => {
                fields.u32(3);
                fields.bytes(&statement.encode());
                fields.bytes(input.as_slice());
                fields.bytes(secret.as_slice());
            }
            Event::Release(release) => {
                fields.u32(4);
                fields.bytes(&release.job.encode());
                fields.bytes(release.keys.as_bytes());
                fields.bytes(&release.ciphertexts);
                fields.u64(release.bits);
                fields.bytes(&release.result);
                fields.bytes(&release.reply.encode());
            }
            Event::Committed(commitment) => {
                fields.u32(5);
                fields.bytes(&commitment.job.encode());
                fields.bytes(commitment.keys.as_bytes());
                fields.bytes(&commitment.ciphertexts);
                fields.u64(commitment.bits);
            }
            Event::Finding(found) => {
                fields.u32(6);
                fields.bytes(&found.finding.encode());
                fields.bool(found.quarantine.is_some());
                if let Some(quarantine) = &found.quarantine {
                    fields.bytes(&quarantine.encode());
                }
            }
        }
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        let time = fields.u64()?;
        let event = match fields.u32()? {
            1 => Event::Begun {
                instance: InstanceId(fields.array("instance id")?),
                epoch: fields.u32()?,
                signing: seed(fields)?,
                sealing: seed(fields)?,
            },
            2 => Event::Deployment {
                statement: Signed::decode(fields.bytes()?)?,
                program: fields.bytes()?.to_vec(),
                seed: seed(fields)?,
            },
            3 => Event::Session {
                statement: Signed::decode(fields.bytes()?)?,
                input: seed(fields)?,
                secret: seed(fields)?,
            },
            4 => Event::Release(Release {
                job: Signed::decode(fields.bytes()?)?,
                keys: ObjectId(fields.array("keys object id")?),
                ciphertexts: fields.array("ciphertext digest")?,
                bits: fields.u64()?,
                result: fields.array("result digest")?,
                reply: Released::decode(fields.bytes()?)?,
            }),
            5 => Event::Committed(Commitment {
                job: Signed::decode(fields.bytes()?)?,
                keys: ObjectId(fields.array("keys object id")?),
                ciphertexts: fields.array("ciphertext digest")?,
                bits: fields.u64()?,
            }),
            6 => Event::Finding(Finding {
                finding: Signed::decode(fields.bytes()?)?,
                quarantine: match fields.bool()? {
                    true => Some(Signed::decode(fields.bytes()?)?),
                    false => None,
                },
            }),
            _ => return Err(WireError::Statement("unknown event")),
        };
        Ok(Self { time, event })
    }
}
