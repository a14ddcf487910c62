//! The data owner opens sessions.

use crate::trust::VerifiedEnclave;
use crate::{ClientError, Deployment, Identity, Session};
use adyton_wire::digest::seed_commitment;
use adyton_wire::message::OpenSession;
use adyton_wire::seal::OpeningKey;
use adyton_wire::statement::{SessionOpened, SessionStatement};
use adyton_wire::{PublicKey, SessionNonce, Signed, SigningKey};
use zeroize::Zeroizing;

/// One data owner.
#[derive(Debug)]
pub struct DataOwner {
    identity: Identity,
    signing: SigningKey,
}

impl DataOwner {
    /// The data owner behind an identity.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let signing = identity.signing_key();
        Self { identity, signing }
    }

    /// The key by which policies name this owner.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.signing.public_key()
    }

    /// Asks for session `number` with a deployment. The same number is the same session: its secrets derive from the
    /// identity, so an owner that has lost everything else can ask again and open what was released meanwhile.
    ///
    /// The input key's seed goes to the appraised enclave alone, sealed.
    ///
    /// # Errors
    /// Sealing fails for lack of random bytes.
    pub fn open(
        &self,
        enclave: &VerifiedEnclave,
        deployment: &Deployment,
        number: u32,
    ) -> Result<OpeningSession, ClientError> {
        const WHAT: &str = "the session request";
        let about = [deployment.id().as_bytes(), number.to_le_bytes().as_slice()].concat();
        let nonce = self.identity.derive("adyton 2026 session nonce", &about);
        let nonce = SessionNonce::from_slice(nonce.get(..16).unwrap_or_default())
            .map_err(ClientError::message(WHAT))?;
        let seed = self.identity.derive("adyton 2026 input key seed", &about);
        let reply = self.identity.derive("adyton 2026 reply key seed", &about);
        let reply = OpeningKey::from_seed(&reply).map_err(ClientError::message(WHAT))?;
        let statement = SessionStatement {
            deployment: deployment.id(),
            owner: self.public_key(),
            reply_key: reply.public_key().as_bytes().to_vec(),
            nonce,
            seed_commitment: seed_commitment(&seed),
        };
        let info = statement.id().seed_info(enclave.instance());
        let sealed = enclave.sealing_key().seal(&info, b"", seed.as_slice());
        let message = OpenSession {
            statement: Signed::new(&statement, &self.signing),
            seed: sealed.map_err(ClientError::message(WHAT))?,
        };
        Ok(OpeningSession {
            deployment: deployment.clone(),
            enclave: enclave.clone(),
            signing: self.signing.clone(),
            statement,
            seed,
            reply,
            message: message.encode(),
        })
    }
}

/// A session that was asked for.
#[derive(Debug)]
pub struct OpeningSession {
    pub(crate) deployment: Deployment,
    pub(crate) enclave: VerifiedEnclave,
    pub(crate) signing: SigningKey,
    pub(crate) statement: SessionStatement,
    pub(crate) seed: Zeroizing<[u8; 32]>,
    pub(crate) reply: OpeningKey,
    message: Vec<u8>,
}

impl OpeningSession {
    /// Wire's `OpenSession`, encoded.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Accepts the answer, wire's `Signed<SessionOpened>` encoded, if the enclave signed it for this very request.
    ///
    /// # Errors
    /// The answer is malformed, not signed by the enclave, or about something else.
    pub fn confirm(self, answer: &[u8]) -> Result<Session, ClientError> {
        const WHAT: &str = "the enclave's answer to the session";
        let opened = Signed::<SessionOpened>::decode(answer)
            .and_then(|signed| signed.verify(self.enclave.signing_key()))
            .map_err(ClientError::message(WHAT))?;
        let same = opened.session == self.statement.id()
            && opened.deployment == self.deployment.id()
            && opened.program == self.deployment.statement().program
            && opened.instance == *self.enclave.instance();
        ClientError::unless(same, WHAT, "is about another session")?;
        Ok(Session::new(self, opened))
    }
}
