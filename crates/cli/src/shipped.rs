//! The networks and samples that this program carries.

use crate::error::CliError;
use adyton_compiler::network::Network;
use adyton_compiler::onnx;
use adyton_samples::{Samples, open_labels};
use std::io::Write;

/// A network that ships with Adyton.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shipped {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it looks like.
    pub(crate) about: &'static str,
    /// The ONNX file.
    pub(crate) onnx: &'static [u8],
    /// Where the defaults are too little for it; it runs only when it is named.
    pub(crate) memory: Option<Memory>,
}

/// What a large network may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Expanded weights and a session's keys, MiB.
    pub(crate) plan_mib: u64,
    /// The host's evaluation, MiB.
    pub(crate) host_mib: u64,
}

/// All of them, in the order in which they run.
const NETWORKS: [Shipped; 4] = [
    Shipped {
        name: "mlp",
        about: "784 → 128 → square → 10",
        onnx: include_bytes!("../../../networks/mlp.onnx"),
        memory: None,
    },
    Shipped {
        name: "cryptonets",
        about: "conv 5×5/2, 5 maps → square → 100 → square → 10",
        onnx: include_bytes!("../../../networks/cryptonets.onnx"),
        memory: None,
    },
    Shipped {
        name: "e2dm",
        about: "conv 7×7/3, 4 maps → square → 64 → square → 10",
        onnx: include_bytes!("../../../networks/e2dm.onnx"),
        memory: None,
    },
    Shipped {
        name: "lenet5",
        about: "conv 5×5, 6 maps → square → pool → conv 5×5, 16 maps → square → pool → 120 → square → 84 → square → 10",
        onnx: include_bytes!("../../../networks/lenet5.onnx"),
        memory: Some(Memory { plan_mib: 6 << 10, host_mib: 12 << 10 }),
    },
];

/// Test images of MNIST (the first 1,000), compressed idx. CC BY-SA 3.0, Yann LeCun and Corinna Cortes.
const TEST_IMAGES: &[u8] = include_bytes!("../../../networks/data/test-images.idx3.gz");
/// Their labels.
const TEST_LABELS: &[u8] = include_bytes!("../../../networks/data/test-labels.idx1.gz");
/// Training images (the first 512), to calibrate with.
const CALIBRATION_IMAGES: &[u8] =
    include_bytes!("../../../networks/data/calibration-images.idx3.gz");

/// The networks of these names, all that run within the defaults when none is named, each once.
pub(crate) fn networks(names: &[String]) -> Result<Vec<Shipped>, CliError> {
    let known = || NETWORKS.map(|n| n.name).join(", ");
    for name in names {
        if !NETWORKS.iter().any(|n| n.name == name) {
            return Err(CliError::UnknownNetwork { name: name.clone(), known: known() });
        }
    }
    let wanted = |n: &Shipped| match names {
        [] => n.memory.is_none(),
        names => names.iter().any(|name| name == n.name),
    };
    Ok(NETWORKS.into_iter().filter(wanted).collect())
}

impl Shipped {
    /// The network as its ONNX file says.
    pub(crate) fn network(&self) -> Result<Network, CliError> {
        onnx::import(self.name, self.onnx)
            .map_err(CliError::part(format!("the shipped network {} cannot be read", self.name)))
    }
}

/// Test images and their labels.
pub(crate) struct Digits {
    /// The images, values in [0, 1].
    pub(crate) images: Samples,
    /// What they show.
    pub(crate) labels: Vec<u8>,
}

/// The shipped test images.
pub(crate) fn test_digits() -> Result<Digits, CliError> {
    let images = open(TEST_IMAGES)?;
    let file = written(TEST_LABELS)?;
    let labels = open_labels(file.path()).map_err(broken)?;
    Ok(Digits { images, labels })
}

/// The shipped calibration images.
pub(crate) fn calibration() -> Result<Samples, CliError> {
    open(CALIBRATION_IMAGES)
}

fn open(bytes: &[u8]) -> Result<Samples, CliError> {
    Samples::open(written(bytes)?.path()).map_err(broken)
}

fn broken(error: adyton_samples::ReadError) -> CliError {
    CliError::part("the shipped samples cannot be read")(error)
}

/// A temporary file with these bytes: the readers take files.
fn written(bytes: &[u8]) -> Result<tempfile::NamedTempFile, CliError> {
    let write = || {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(CliError::part::<std::io::Error>("no temporary file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_is_whole() {
        let digits = test_digits().unwrap();
        assert_eq!((digits.images.count(), digits.labels.len()), (1000, 1000));
        assert_eq!(digits.images.shape(), [28, 28]);
        assert_eq!(digits.labels[..4], [7, 2, 1, 0]);
        assert_eq!(calibration().unwrap().sample_len(), 784);
        for shipped in NETWORKS {
            let network = shipped.network().unwrap();
            assert_eq!((network.input_len(), network.output_len()), (784, 10), "{}", shipped.name);
        }
    }

    #[test]
    fn networks_are_chosen_by_name() {
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
            networks(&names).map(|n| n.iter().map(|n| n.name).collect::<Vec<_>>())
        };
        assert_eq!(named(&["e2dm", "mlp", "e2dm"]).unwrap(), ["mlp", "e2dm"]);
        assert_eq!(named(&[]).unwrap(), ["mlp", "cryptonets", "e2dm"]);
        let error = named(&["lenet"]).unwrap_err();
        assert!(error.render().contains("mlp, cryptonets, e2dm, lenet5"));
    }
}
