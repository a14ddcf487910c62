//! Changes of the state, as they stand in sealed records.

use adyton_wire::message::Released;
use adyton_wire::statement::{
    DeploymentStatement, Fields, JobStatement, SessionStatement, Source, Statement,
};
use adyton_wire::{InstanceId, Signed, WireError};

use crate::vault::Seed;

/// One change. Owners' statements stand in it as they were signed, so that a record proves itself.
pub(crate) enum Event {
    /// The state began.
    Begun {
        /// Its id.
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
}

/// A release as the state remembers it.
pub(crate) struct Release {
    /// Signed by the data owner.
    pub(crate) job: Signed<JobStatement>,
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
                fields.bytes(&release.ciphertexts);
                fields.u64(release.bits);
                fields.bytes(&release.result);
                fields.bytes(&release.reply.encode());
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
                ciphertexts: fields.array("ciphertext digest")?,
                bits: fields.u64()?,
                result: fields.array("result digest")?,
                reply: Released::decode(fields.bytes()?)?,
            }),
            _ => return Err(WireError::Statement("unknown event")),
        };
        Ok(Self { time, event })
    }
}
