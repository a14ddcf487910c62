//! Configuration of the host: command line, each option also from the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use adyton_wire::Address;

/// The untrusted server: stores ciphertexts, evaluates programs on them, relays to the enclave.
///
/// The host sees programs, ciphertexts and evaluation keys. It holds no secret key and needs none; what the owners tell
/// the enclave is sealed to it, what the enclave tells them is signed by it.
///
/// Stop it with SIGTERM or Ctrl-C: it finishes the calls it is in. Killing it loses nothing that was answered: stored
/// objects, deployments, sessions and accepted jobs are on disk, and unfinished jobs are taken up at the next start.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "adyton-host",
    version,
    after_help = "Example, with the enclave on the same machine:\n  \
        adyton-enclave --listen unix:/run/adyton/enclave.sock --state /var/lib/adyton/enclave …\n  \
        adyton-host --enclave unix:/run/adyton/enclave.sock --data /var/lib/adyton/host\n\n\
        Logs are JSON lines on standard error; ADYTON_LOG sets their level (error, warn, info, debug)."
)]
pub struct Config {
    /// Where owners connect (gRPC)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700", env = "ADYTON_HOST_LISTEN")]
    pub listen: SocketAddr,

    /// Where the enclave listens: `unix:PATH` or `tcp:HOST:PORT`
    ///
    /// The host may start before the enclave, and connects again whenever the connection breaks.
    #[arg(long, value_name = "ADDR", env = "ADYTON_HOST_ENCLAVE")]
    pub enclave: Address,

    /// Folder for objects and metadata; made if it is missing
    ///
    /// One host at a time may use it.
    #[arg(long, value_name = "DIR", env = "ADYTON_HOST_DATA")]
    pub data: PathBuf,

    /// Threads that evaluate [default: all cores]
    #[arg(long, value_name = "N", env = "ADYTON_HOST_THREADS")]
    pub threads: Option<usize>,

    /// Memory for evaluation, such as 1536M or 8G
    ///
    /// Running jobs, expanded weights and expanded keys share it. A job waits until it fits, and a batch that is too large runs
    /// in parts; a network of which not one batch fits is refused when it is registered. The process needs about 100 MiB
    /// besides.
    #[arg(long, value_name = "BYTES", default_value = "1792M", value_parser = bytes, env = "ADYTON_HOST_MEMORY")]
    pub memory: u64,

    /// Disk space for objects
    #[arg(long, value_name = "BYTES", default_value = "64G", value_parser = bytes, env = "ADYTON_HOST_STORE")]
    pub store: u64,

    /// Jobs that may wait, in total
    #[arg(long, value_name = "N", default_value_t = 1024, env = "ADYTON_HOST_QUEUE")]
    pub queue: u64,

    /// Jobs that may wait, of one session
    #[arg(long, value_name = "N", default_value_t = 64, env = "ADYTON_HOST_QUEUE_PER_SESSION")]
    pub queue_per_session: u64,

    /// Certificate chain (PEM): turns TLS on
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "ADYTON_HOST_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "ADYTON_HOST_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Where to serve `/health` and `/metrics` over HTTP [default: nowhere]
    #[arg(long, value_name = "ADDR", env = "ADYTON_HOST_METRICS")]
    pub metrics: Option<SocketAddr>,
}

/// Parses a number of bytes with an optional binary suffix K, M, G or T.
fn bytes(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let (digits, shift) = match trimmed.char_indices().last() {
        Some((at, suffix)) if suffix.is_ascii_alphabetic() => {
            let shift = match suffix.to_ascii_uppercase() {
                'K' => 10,
                'M' => 20,
                'G' => 30,
                'T' => 40,
                _ => return Err(format!("unknown suffix `{suffix}`; use K, M, G or T")),
            };
            (trimmed.get(..at).unwrap_or_default(), shift)
        }
        _ => (trimmed, 0),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{text}` is not a number of bytes"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("`{text}` is more than 64 bits hold"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Config::command().debug_assert();
    }

    #[test]
    fn bytes_with_suffixes() {
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(bytes("1536M"), Ok(1536 << 20));
        assert_eq!(bytes("2g"), Ok(2 << 30));
        for wrong in ["", "M", "-1", "1X", "1.5G", "99999999999T"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_certificate_needs_its_key() {
        let with = |more: &[&str]| {
            let base = ["adyton-host", "--enclave", "unix:/e", "--data", "/d"];
            Config::try_parse_from(base.iter().chain(more))
        };
        assert!(with(&[]).is_ok());
        assert!(with(&["--tls-cert", "c"]).is_err());
        assert!(with(&["--tls-cert", "c", "--tls-key", "k"]).is_ok());
    }
}
