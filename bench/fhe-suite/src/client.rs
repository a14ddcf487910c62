//! What the client does: keys, encryption, decryption.

use crate::model::{self, Seeds};
use crate::place::{self, Place};
use adyton_ckks::{Ciphertext, Encoder, ResultKey};
use adyton_ckks_secret::{Decryptor, KeyGenerator, Masks, Randomness, SecretKey};
use adyton_compiler::plan::Compiled;
use adyton_program::bundle::{BundleShape, BundleWriter};
use adyton_program::{ModelPrivacy, VerifiedProgram};
use adyton_runtime::cleartext::{pack_inputs, read_outputs};
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Items that are made at a time: memory is bounded by them.
const AT_ONCE: usize = 64;

/// Compiles the network, draws the seeds, and makes the evaluation keys; in the encrypted variant, as the model's owner, the encrypted model too.
pub(crate) fn generate_keys(place: &Place, privacy: ModelPrivacy) -> Result<()> {
    let compiled = model::compile(place.single, privacy)?;
    let program = VerifiedProgram::new(compiled.program.clone())?;
    place::write(&place.program(), &compiled.program.encode())?;
    let mut randomness = Randomness::from_os()?;
    let seeds = Seeds::draw(&mut randomness);
    place::write(&place.seeds(), &seeds.to_bytes())?;
    let parameters = program.parameters();
    let (input, result) = (seeds.input(parameters)?, seeds.result(parameters)?);
    let specs = &program.program().keys;
    let model = model_keys(&program, &seeds)?;
    write_bundle(BundleShape::keys(&program)?, &place.keys(), |index, randomness| {
        let spec = specs.get(index).context("no such key")?;
        let row = spec.source.row().unwrap_or_default();
        let model = model.get(&row).context("no such row")?;
        let generator = KeyGenerator::new(model, &input, &result)?;
        Ok(generator.evaluation_key(spec, randomness)?.encode(parameters)?)
    })?;
    if compiled.program.privacy == ModelPrivacy::Encrypted {
        encrypt_model(place, &program, &compiled, &model)?;
    }
    Ok(())
}

/// The model key of every row that weights or keys name.
fn model_keys(
    program: &VerifiedProgram,
    seeds: &Seeds,
) -> Result<BTreeMap<u8, SecretKey<adyton_ckks::ModelKey>>> {
    let weights = program.program().weights.iter().map(|weight| weight.row);
    let keys = program.program().keys.iter().filter_map(|key| key.source.row());
    let rows: std::collections::BTreeSet<u8> = weights.chain(keys).chain([0]).collect();
    rows.into_iter().map(|row| Ok((row, seeds.model(program.parameters(), row)?))).collect()
}

fn encrypt_model(
    place: &Place,
    program: &VerifiedProgram,
    compiled: &Compiled,
    keys: &BTreeMap<u8, SecretKey<adyton_ckks::ModelKey>>,
) -> Result<()> {
    let parameters = program.parameters();
    let encoder = Encoder::new(parameters);
    let masks = Masks::new(&mut Randomness::from_os()?);
    let lanes = program.program().input.lanes as usize;
    let (vectors, specs) = (compiled.weights.vectors(), &program.program().weights);
    write_bundle(BundleShape::model(program)?, &place.model(), |index, randomness| {
        let (vector, spec) = vectors.get(index).zip(specs.get(index)).context("no such weight")?;
        let slots: Vec<f64> = vector.iter().flat_map(|&w| std::iter::repeat_n(w, lanes)).collect();
        let plaintext = encoder.encode(&slots, spec.level, &spec.scale)?;
        let key = keys.get(&spec.row).context("no such row")?;
        Ok(masks.encrypt(key, spec.mask, &plaintext, randomness)?.encode(parameters)?)
    })
}

/// Encrypts the harness's images.
pub(crate) fn encrypt(place: &Place) -> Result<()> {
    let program = model::program(place)?;
    let parameters = program.parameters();
    let images = pixels(place, program.program().input.shape.iter().product::<u32>() as usize)?;
    let key = Seeds::load(place)?.input(parameters)?;
    let encoder = Encoder::new(parameters);
    let layout = &program.program().input;
    let (lanes, each) = (layout.lanes as usize, layout.ciphertexts.len());
    let groups = u32::try_from(images.len().div_ceil(lanes))?;
    let level = parameters.top_level();
    write_bundle(BundleShape::inputs(&program, groups)?, &place.upload(), |index, randomness| {
        let group = images.chunks(lanes).nth(index / each).unwrap_or_default();
        let group: Vec<&[f64]> = group.iter().map(Vec::as_slice).collect();
        let slots = pack_inputs(layout, &group)?;
        let slots = slots.get(index % each).context("no such ciphertext")?;
        let plaintext = encoder.encode(slots, level, &layout.scale)?;
        Ok(key.encrypt(&plaintext, randomness)?.encode(parameters)?)
    })?;
    place::write(&place.count(), images.len().to_string().as_bytes())
}

/// The images, one a line.
fn pixels(place: &Place, values: usize) -> Result<Vec<Vec<f64>>> {
    let path = place.pixels();
    let text = String::from_utf8(place::read(&path)?).context("the pixels are no text")?;
    let lines = text.lines().filter(|line| !line.trim().is_empty()).enumerate();
    let images = lines
        .map(|(number, line)| {
            let image: Vec<f64> = line
                .split_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()
                .with_context(|| format!("{}, image {number}", path.display()))?;
            match image.len() == values {
                true => Ok(image),
                false => bail!("image {number} has {} pixels, not {values}", image.len()),
            }
        })
        .collect::<Result<Vec<_>>>()?;
    if images.is_empty() {
        bail!("{} holds no image", path.display());
    }
    Ok(images)
}

/// Decrypts the results into the network's outputs.
pub(crate) fn decrypt(place: &Place) -> Result<()> {
    let program = model::program(place)?;
    let parameters = program.parameters();
    let key = Seeds::load(place)?.result(parameters)?;
    let count: usize = String::from_utf8(place::read(&place.count())?)?.trim().parse()?;
    let layout = &program.program().output;
    let form = program.value_type(layout.value).context("the program has no result")?;
    let length = Ciphertext::<ResultKey>::encoded_len(parameters, form.level, &form.scale)?;
    let bytes = place::read(&place.download())?;
    let lanes = program.program().input.lanes as usize;
    if bytes.len() != count.div_ceil(lanes) * length {
        bail!(
            "{} has {} bytes, not {length} for each of the groups",
            place.download().display(),
            bytes.len()
        );
    }
    let decryptor = Decryptor::new(&key);
    let outputs: Vec<Vec<Vec<f64>>> = bytes
        .par_chunks(length)
        .map(|bytes| {
            let result = Ciphertext::<ResultKey>::decode(bytes, parameters)?;
            let slots = decryptor.decrypt_slots(&result)?;
            Ok(read_outputs(layout, lanes, &slots)?)
        })
        .collect::<Result<_>>()?;
    let lines = outputs.iter().flatten().take(count).map(|outputs| {
        outputs.iter().map(|value| format!("{value:.6}")).collect::<Vec<_>>().join(" ")
    });
    place::write(&place.outputs(), lines.collect::<Vec<_>>().join("\n").as_bytes())
}

/// The label of each image: the largest output.
pub(crate) fn postprocess(place: &Place) -> Result<()> {
    let text = String::from_utf8(place::read(&place.outputs())?)?;
    let label = |line: &str| -> Result<String> {
        let values: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let best = (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
        Ok(best.context("an image without outputs")?.to_string())
    };
    let labels = text.lines().map(label).collect::<Result<Vec<_>>>()?;
    place::write(&place.predictions(), (labels.join("\n") + "\n").as_bytes())
}

/// Writes a bundle whose items all cores make.
pub(crate) fn write_bundle(
    shape: BundleShape,
    path: &Path,
    item: impl Fn(usize, &mut Randomness) -> Result<Vec<u8>> + Sync,
) -> Result<()> {
    let items = shape.lengths().len();
    let mut bundle = BundleWriter::new(shape, place::create(path)?)?;
    let mut randomness = Randomness::from_os()?;
    for first in (0..items).step_by(AT_ONCE) {
        let work: Vec<(usize, Randomness)> =
            (first..items.min(first + AT_ONCE)).map(|i| (i, randomness.fork())).collect();
        let made: Vec<Vec<u8>> = work
            .into_par_iter()
            .map(|(index, mut randomness)| item(index, &mut randomness))
            .collect::<Result<_>>()?;
        made.iter().try_for_each(|bytes| bundle.item(bytes))?;
    }
    let file = bundle.finish()?;
    file.into_inner().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
