//! Whose key a ciphertext is encrypted under, as a type: a ciphertext under the wrong key does not compile.

/// The three kinds of secret key (system design, "Keys").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// `s_M`: encrypts the weights; for each deployment one a row of weights that share masks ([`KeySource::Model`](crate::KeySource::Model)).
    Model = 1,
    /// `s_I`: encrypts a data owner's inputs; one for each session.
    Input = 2,
    /// `s_R`: encrypts results; known to the enclave alone.
    Result = 3,
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ModelKey {}
    impl Sealed for super::InputKey {}
    impl Sealed for super::ResultKey {}
}

/// A key role at the type level. Sealed: [`ModelKey`], [`InputKey`] and [`ResultKey`] are all there are.
pub trait KeyRole:
    sealed::Sealed + Copy + std::fmt::Debug + PartialEq + Eq + Send + Sync + 'static
{
    /// The same role as a value.
    const ROLE: Role;
}

/// A role whose ciphertexts may stand on the right of a two-key product: [`InputKey`] in the first layer, [`ResultKey`] later.
pub trait OperandRole: KeyRole {
    /// Source of the key that switches a component under this role's secret.
    const SOURCE: crate::KeySource;
    /// Source of the key that switches a component under the product of a row's `s_M` and this role's secret.
    fn times_model(row: u8) -> crate::KeySource;
}

/// The model key `s_M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelKey;
/// The input key `s_I`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputKey;
/// The result key `s_R`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultKey;

impl KeyRole for ModelKey {
    const ROLE: Role = Role::Model;
}
impl KeyRole for InputKey {
    const ROLE: Role = Role::Input;
}
impl KeyRole for ResultKey {
    const ROLE: Role = Role::Result;
}

impl OperandRole for InputKey {
    const SOURCE: crate::KeySource = crate::KeySource::Input;

    fn times_model(row: u8) -> crate::KeySource {
        crate::KeySource::ModelTimesInput(row)
    }
}
impl OperandRole for ResultKey {
    const SOURCE: crate::KeySource = crate::KeySource::Result;

    fn times_model(row: u8) -> crate::KeySource {
        crate::KeySource::ModelTimesResult(row)
    }
}
