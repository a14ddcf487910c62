//! A node's attributes, read by name and type.

use super::NodeError;
use super::proto::{AttributeProto, TensorProto, attribute_proto::AttributeType};

/// The attributes of one node, all of them known to its operator and none twice.
pub(crate) struct Attributes<'a> {
    list: &'a [AttributeProto],
}

impl<'a> Attributes<'a> {
    /// Checks the names against those of the operator.
    ///
    /// # Errors
    /// A name outside `known`, or twice.
    pub(crate) fn check(
        list: &'a [AttributeProto],
        known: &'static [&'static str],
    ) -> Result<Self, NodeError> {
        for (index, attribute) in list.iter().enumerate() {
            let twice = list[..index].iter().any(|earlier| earlier.name() == attribute.name());
            // A reference stands for an attribute of an enclosing function; there are none here.
            if twice || !known.contains(&attribute.name()) || !attribute.ref_attr_name().is_empty()
            {
                let name = attribute.name().to_owned();
                return Err(NodeError::UnknownAttribute { name, supported: known });
            }
        }
        Ok(Self { list })
    }

    fn find(&self, name: &str) -> Option<&'a AttributeProto> {
        self.list.iter().find(|attribute| attribute.name() == name)
    }

    fn typed(
        &self,
        name: &'static str,
        kind: AttributeType,
        supported: &'static str,
    ) -> Result<Option<&'a AttributeProto>, NodeError> {
        match self.find(name) {
            Some(attribute) if attribute.r#type() != kind => {
                let found = format!("of type {}", attribute.r#type().as_str_name());
                Err(NodeError::Attribute { name, found, supported })
            }
            found => Ok(found),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(crate) fn int(&self, name: &'static str) -> Result<Option<i64>, NodeError> {
        let found = self.typed(name, AttributeType::Int, "an integer")?;
        Ok(found.map(AttributeProto::i))
    }

    /// An integer that is 0 or 1, and `default` where there is none.
    pub(crate) fn flag(&self, name: &'static str, default: bool) -> Result<bool, NodeError> {
        match self.int(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(found) => {
                let found = found.to_string();
                Err(NodeError::Attribute { name, found, supported: "0 or 1" })
            }
        }
    }

    pub(crate) fn float(&self, name: &'static str) -> Result<Option<f64>, NodeError> {
        let found = self.typed(name, AttributeType::Float, "a float")?;
        Ok(found.map(|attribute| f64::from(attribute.f())))
    }

    pub(crate) fn ints(&self, name: &'static str) -> Result<Option<&'a [i64]>, NodeError> {
        let found = self.typed(name, AttributeType::Ints, "a list of integers")?;
        Ok(found.map(|attribute| attribute.ints.as_slice()))
    }

    pub(crate) fn floats(&self, name: &'static str) -> Result<Option<&'a [f32]>, NodeError> {
        let found = self.typed(name, AttributeType::Floats, "a list of floats")?;
        Ok(found.map(|attribute| attribute.floats.as_slice()))
    }

    pub(crate) fn tensor(&self, name: &'static str) -> Result<Option<&'a TensorProto>, NodeError> {
        let found = self.typed(name, AttributeType::Tensor, "a tensor")?;
        Ok(found.and_then(|attribute| attribute.t.as_ref()))
    }

    /// A string; what is not UTF-8 is no name that any operator knows.
    pub(crate) fn string(&self, name: &'static str) -> Result<Option<&'a str>, NodeError> {
        let found = self.typed(name, AttributeType::String, "a string")?;
        Ok(found.map(|attribute| std::str::from_utf8(attribute.s()).unwrap_or("not text")))
    }
}
