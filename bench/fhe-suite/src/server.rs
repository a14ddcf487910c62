//! What the server does: it never sees a secret.

use crate::client::write_bundle;
use crate::model;
use crate::place::{self, Place, SIZES};
use adyton_program::ModelPrivacy;
use adyton_program::bundle::{BundleReader, BundleShape};
use adyton_runtime::{
    Encrypted, Executor, RunOptions, crew, load_keys, read_inputs, read_key, read_weights,
};
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Groups of lanes that are evaluated at a time: memory is bounded by them.
const AT_ONCE: usize = 16;

/// Makes the model ready for every size for which keys were generated. A plain model is the server's own: it compiles it, to the same program
/// as the client. An encrypted one came from its owner.
pub(crate) fn preprocess_models(root: &Path) -> Result<()> {
    let places = SIZES.iter().map(|name| Place::named(root, name));
    let places: Vec<Place> = places.filter(|place| place.program().exists()).collect();
    if places.is_empty() {
        bail!("no program below io/: run client_key_generation first");
    }
    places.iter().try_for_each(preprocess)
}

fn preprocess(place: &Place) -> Result<()> {
    let program = model::program(place)?;
    let shape = BundleShape::model(&program)?;
    if program.program().privacy == ModelPrivacy::Encrypted {
        let found = std::fs::metadata(place.model()).context("the encrypted model is missing")?;
        return Ok(shape.check_total(found.len())?);
    }
    let compiled = model::compile(place.single, ModelPrivacy::Plain)?;
    if compiled.program.id() != program.program().id() {
        bail!("this server compiles the network to another program than the client");
    }
    let vectors = compiled.weights.vectors();
    write_bundle(shape, &place.model(), |index, _| {
        let vector = vectors.get(index).context("no such weight")?;
        Ok(vector.iter().flat_map(|weight| weight.to_le_bytes()).collect())
    })
}

/// Evaluates the network on all groups of images.
pub(crate) fn compute(place: &Place) -> Result<()> {
    let began = Instant::now();
    let program = Arc::new(model::program(place)?);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bundle = BundleReader::new(BundleShape::model(&program)?, place::open(&place.model())?)?;
    let weights = Arc::new(read_weights(&program, bundle, threads)?);
    let bundle = BundleReader::new(BundleShape::keys(&program)?, place::open(&place.keys())?)?;
    let keys = load_keys(&program, bundle, |item| read_key(&program, item), threads)?;
    let backend = Encrypted::new(&program, weights, Arc::new(keys), crew(threads)?)?;
    let variant = match program.program().privacy {
        ModelPrivacy::Plain => "plaintext model",
        ModelPrivacy::Encrypted => "ENCRYPTED model",
    };
    say(&format!(
        "{variant}, {threads} threads: model and keys loaded in {:.3} s",
        began.elapsed().as_secs_f64()
    ))?;

    let length =
        std::fs::metadata(place.upload()).context("the encrypted inputs are missing")?.len();
    let shape = BundleShape::inputs_of_length(&program, length)?;
    let groups = shape.lengths().len() / program.program().input.ciphertexts.len().max(1);
    let mut bundle = BundleReader::new(shape, place::open(&place.upload())?)?;
    let executor = Executor::new(Arc::clone(&program));
    let mut results = place::create(&place.download())?;
    let (mut evaluation, mut done) = (0.0, 0);
    while done < groups {
        let now = AT_ONCE.min(groups - done);
        let inputs = read_inputs(&program, &mut bundle, now, threads)?;
        let outcome = executor.run(&backend, inputs, &RunOptions::threads(threads))?;
        evaluation += outcome.profile.wall().as_secs_f64();
        for result in outcome.results {
            results.write_all(&result.encode(program.parameters())?)?;
        }
        done += now;
    }
    results.flush()?;
    say(&format!(
        "{groups} groups of {} images: evaluation {evaluation:.3} s",
        program.program().input.lanes
    ))
}

/// A line of the harness's log.
fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "         [server] {line}")
        .context("cannot write to standard output")
}
