//! The stages of the `ml-inference` workload of the FHE benchmarking suite (HomomorphicEncryption.org) for MNIST, in the harness's calling
//! convention. One program with several names: each stage is a link to it, or its first argument. README.md beside this crate tells how to
//! put it into a checkout of the harness.
#![forbid(unsafe_code)]

mod client;
mod model;
mod place;
mod server;

use anyhow::{Context, Result, bail};
use place::Place;
use std::path::Path;
use std::process::ExitCode;

/// As in the host: evaluation allocates large buffers from all threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names of the stages, in the order in which the harness runs them.
const STAGES: [&str; 7] = [
    "client_key_generation",
    "server_preprocess_model",
    "client_preprocess_input",
    "client_encode_encrypt_input",
    "server_encrypted_compute",
    "client_decrypt_decode",
    "client_postprocess",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The stage that was called and its own arguments.
fn stage(arguments: &[String]) -> Option<(&str, &[String])> {
    let [called, rest @ ..] = arguments else { return None };
    let name = Path::new(called).file_name()?.to_str()?;
    if STAGES.contains(&name) {
        return Some((name, rest));
    }
    let [name, rest @ ..] = rest else { return None };
    STAGES.contains(&name.as_str()).then_some((name.as_str(), rest))
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = stage(arguments) else {
        bail!("expected a stage: one of {}", STAGES.join(", "));
    };
    let root = std::env::current_dir().context("the working directory is gone")?;
    // The harness tells this stage no size.
    if name == "server_preprocess_model" {
        return server::preprocess_models(&root);
    }
    let size =
        rest.first().with_context(|| format!("usage: {name} SIZE, with SIZE 0, 1, 2 or 3"))?;
    let place = Place::new(&root, size)?;
    match name {
        "client_key_generation" => client::generate_keys(&place, model::variant()?),
        // Pixels go in as they are: the network takes values in [0, 1].
        "client_preprocess_input" => Ok(()),
        "client_encode_encrypt_input" => client::encrypt(&place),
        "server_encrypted_compute" => server::compute(&place),
        "client_decrypt_decode" => client::decrypt(&place),
        _ => client::postprocess(&place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adyton_program::ModelPrivacy;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_stage_is_the_programs_name_or_its_first_argument() {
        let linked = words("/x/submission/build/client_key_generation 2");
        assert_eq!(stage(&linked), Some(("client_key_generation", &linked[1..])));
        let named = words("adyton-fhe-suite client_postprocess 0");
        assert_eq!(stage(&named), Some(("client_postprocess", &named[2..])));
        assert_eq!(stage(&words("adyton-fhe-suite other 0")), None);
        assert_eq!(stage(&[]), None);
    }

    #[test]
    fn unknown_stages_and_sizes_are_refused() {
        assert!(run(&words("adyton-fhe-suite")).is_err());
        assert!(run(&words("adyton-fhe-suite client_postprocess 7")).is_err());
        assert!(run(&words("adyton-fhe-suite client_postprocess")).is_err());
    }

    /// All stages for a few of the shipped images; labels must be those of the network in the clear.
    fn labels_agree(model: ModelPrivacy, size: &str, count: usize) {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path(), size).unwrap();
        let images = include_bytes!("../../../networks/data/test-images.idx3.gz");
        let images = model::samples(images).unwrap();
        let network = model::network().unwrap();
        let (mut pixels, mut expected) = (String::new(), String::new());
        for image in images.iter().take(count) {
            let words: Vec<String> = image.iter().map(|pixel| format!("{pixel:.6}")).collect();
            pixels += &(words.join(" ") + "\n");
            let outputs = network.run(image).unwrap();
            let best = (0..outputs.len()).max_by(|&a, &b| outputs[a].total_cmp(&outputs[b]));
            expected += &format!("{}\n", best.unwrap());
        }
        place::write(&place.pixels(), pixels.as_bytes()).unwrap();
        client::generate_keys(&place, model).unwrap();
        server::preprocess_models(directory.path()).unwrap();
        client::encrypt(&place).unwrap();
        server::compute(&place).unwrap();
        client::decrypt(&place).unwrap();
        client::postprocess(&place).unwrap();
        assert_eq!(std::fs::read_to_string(place.predictions()).unwrap(), expected);
    }

    #[test]
    #[ignore = "keys of real size: cargo test --release -p adyton-fhe-suite -- --ignored"]
    fn one_image_by_a_plaintext_model() {
        labels_agree(ModelPrivacy::Plain, "0", 1);
    }

    #[test]
    #[ignore = "keys of real size: cargo test --release -p adyton-fhe-suite -- --ignored"]
    fn many_images_by_an_encrypted_model() {
        labels_agree(ModelPrivacy::Encrypted, "1", 100);
    }
}
