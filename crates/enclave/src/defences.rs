//! Which defences stand. In this package: all, always. `testing/attacks` compiles the same sources as another package with the
//! condition `adyton_attacks`, which no feature of this one sets, and takes them away one by one, to see that its attacks
//! would succeed.
#![cfg_attr(not(adyton_attacks), expect(unreachable_pub, reason = "public where it is of use"))]

/// What an attack has to get past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defence {
    /// Undeclared slots must be noise, copies must agree.
    Noise,
    /// Outputs must be within the program's range.
    Range,
    /// Flooding noise.
    Flooding,
    /// Level, scale and role of ciphertexts are the program's.
    Form,
    /// A job's id serves once.
    SingleUse,
    /// A job is signed by the session's owner.
    Owner,
    /// Quotas and the ledger.
    Ledger,
    /// What a check found stands inside the sealed result alone.
    Silence,
    /// Every session has a result key of its own.
    OwnKey,
    /// A new epoch has new keys, and knows nothing of the one before.
    Epoch,
    /// A failed check changes nothing of the work.
    #[cfg(adyton_attacks)]
    SameWork,
    /// Nothing is decrypted but under a result key.
    #[cfg(adyton_attacks)]
    ResultKeyOnly,
}

/// The defences of one enclave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defences {
    /// A bit for each that was taken away.
    #[cfg(adyton_attacks)]
    missing: u32,
}

impl Defences {
    /// Whether `defence` stands.
    #[cfg(not(adyton_attacks))]
    pub(crate) const fn stands(self, _: Defence) -> bool {
        true
    }

    /// Whether `defence` stands.
    #[cfg(adyton_attacks)]
    pub(crate) const fn stands(self, defence: Defence) -> bool {
        self.missing & (1 << defence as u32) == 0
    }

    /// All but these.
    #[cfg(adyton_attacks)]
    #[must_use]
    pub fn without(missing: &[Defence]) -> Self {
        Self { missing: missing.iter().fold(0, |bits, defence| bits | 1 << *defence as u32) }
    }
}

/// Here, and so in the shipped program, nothing can be taken away: there is not a bit to say so.
#[cfg(all(test, not(adyton_attacks)))]
#[test]
fn all_defences_stand() {
    use Defence::*;
    assert_eq!(size_of::<Defences>(), 0);
    let all = [Noise, Range, Flooding, Form, SingleUse, Owner, Ledger, Silence, OwnKey, Epoch];
    const { assert!(Defences::stands(Defences {}, Noise)) };
    assert!(all.into_iter().all(|defence| Defences::default().stands(defence)));
}
