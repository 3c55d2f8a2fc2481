//! The TPM 2.0 behind `/dev/tpmrm0`, as far as it is needed to seal a key to the registers and to get it
//! back. Layouts and numbers: Trusted Computing Group, "TPM 2.0 Library", parts 2 and 3.
//!
//! The kernel's resource manager forgets keys and sessions when the device is closed, so nothing is flushed
//! here.

use std::fs::File;
use std::io::{self, Read, Write};

use winfmt::protector::Sealed;

const DEVICE: &str = "/dev/tpmrm0";
/// Largest response, in bytes.
const MAX_RESPONSE: usize = 4096;

const SESSIONS: u16 = 0x8002;
const NO_SESSIONS: u16 = 0x8001;
const HEADER: usize = 10;

const CREATE_PRIMARY: u32 = 0x131;
const CREATE: u32 = 0x153;
const LOAD: u32 = 0x157;
const UNSEAL: u32 = 0x15E;
const START_AUTH_SESSION: u32 = 0x176;
const POLICY_PCR: u32 = 0x17F;
const POLICY_GET_DIGEST: u32 = 0x189;

const OWNER: u32 = 0x4000_0001;
const NOBODY: u32 = 0x4000_0007;
/// `TPM_RS_PW`: a password as authorisation; here always the empty one.
const PASSWORD: u32 = 0x4000_0009;

const SHA256: u16 = 0x000B;
const NULL: u16 = 0x0010;
const KEYED_HASH: u16 = 0x0008;
const ECC: u16 = 0x0023;
const AES: u16 = 0x0006;
const CFB: u16 = 0x0043;
const NIST_P256: u16 = 0x0003;
/// A key that keeps others: `fixedTPM`, `fixedParent`, `sensitiveDataOrigin`, `userWithAuth`, `noDA`,
/// `restricted`, `decrypt`.
const STORAGE_KEY: u32 = 0x0003_0472;
/// Something sealed that only its policy opens: `fixedTPM`, `fixedParent`, `noDA`.
const SEALED_BY_POLICY: u32 = 0x0000_0412;

/// A session that only computes the digest of a policy.
const TRIAL: u8 = 3;
/// A session that satisfies a policy.
const POLICY: u8 = 1;

/// `TPM_RC_POLICY_FAIL`, for the first session: the registers do not have the values sealed to.
const POLICY_FAILED: u32 = 0x99D;
/// `TPM_RC_INTEGRITY`, for the first parameter: this is not the TPM that sealed it, or it was cleared.
const NOT_OURS: u32 = 0x1DF;

/// What the TPM did not do.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// There is none, or it does not answer.
    #[error("{DEVICE}: {0}")]
    Device(#[from] io::Error),
    /// The registers differ from when the key was sealed.
    #[error("the platform configuration registers differ from those that the key is sealed to")]
    RegistersDiffer,
    /// The key was sealed by another TPM, or by this one before it was cleared.
    #[error("the key was sealed before the TPM was cleared, or by another one")]
    OtherTpm,
    /// Any other answer.
    #[error("command {command:#x} was answered with {answer:#x}")]
    Refused {
        /// The command.
        command: u32,
        /// The response code.
        answer: u32,
    },
    /// An answer that ends too early.
    #[error("command {0:#x} was answered with too little")]
    Short(u32),
}

/// Who carries a command to the TPM, and its answer back.
pub(super) trait Transport {
    /// One command, one answer.
    fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>>;
}

impl Transport for File {
    fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.write_all(command)?;
        let mut response = vec![0; MAX_RESPONSE];
        let length = self.read(&mut response)?;
        response.truncate(length);
        Ok(response)
    }
}

/// The TPM.
#[derive(Debug)]
pub(super) struct Tpm<T>(T);

impl Tpm<File> {
    /// Opens the machine's.
    pub(super) fn open() -> Result<Self, TpmError> {
        Ok(Self(File::options().read(true).write(true).open(DEVICE)?))
    }
}

impl<T: Transport> Tpm<T> {
    /// Seals `secret` to the values that these registers have now.
    pub(super) fn seal(&mut self, secret: &[u8], registers: &[u8]) -> Result<Sealed, TpmError> {
        let parent = self.storage_key()?;
        let session = self.session(TRIAL, registers)?;
        let answer = self.send(NO_SESSIONS, POLICY_GET_DIGEST, &session.to_be_bytes())?;
        let (policy, _) = sized(&answer).ok_or(TpmError::Short(POLICY_GET_DIGEST))?;
        let mut sensitive = counted(&[]);
        sensitive.extend(counted(secret));
        let mut public = numbers(&[KEYED_HASH, SHA256]);
        public.extend(SEALED_BY_POLICY.to_be_bytes());
        public.extend(policy);
        public.extend(numbers(&[NULL, 0]));
        let answer = self.create(CREATE, parent, &sensitive, &public)?;
        let parameters = answer.get(4..).ok_or(TpmError::Short(CREATE))?;
        let (private, rest) = sized(parameters).ok_or(TpmError::Short(CREATE))?;
        let (public, _) = sized(rest).ok_or(TpmError::Short(CREATE))?;
        Ok(Sealed { private: private.to_vec(), public: public.to_vec() })
    }

    /// Gets the secret back, if this TPM sealed it and the registers have the values of then.
    pub(super) fn unseal(
        &mut self,
        sealed: &Sealed,
        registers: &[u8],
    ) -> Result<Vec<u8>, TpmError> {
        let parent = self.storage_key()?;
        let mut body = parent.to_be_bytes().to_vec();
        body.extend(authorised(PASSWORD));
        body.extend(&sealed.private);
        body.extend(&sealed.public);
        let answer = self.send(SESSIONS, LOAD, &body)?;
        let object = number(&answer).ok_or(TpmError::Short(LOAD))?;
        let session = self.session(POLICY, registers)?;
        let mut body = object.to_be_bytes().to_vec();
        body.extend(authorised(session));
        let answer = self.send(SESSIONS, UNSEAL, &body)?;
        let parameters = answer.get(4..).ok_or(TpmError::Short(UNSEAL))?;
        let (secret, _) = sized(parameters).ok_or(TpmError::Short(UNSEAL))?;
        Ok(secret.get(2..).unwrap_or_default().to_vec())
    }

    /// The key that keeps everything else. It comes out of the owner's seed, the same each time until the
    /// TPM is cleared.
    fn storage_key(&mut self) -> Result<u32, TpmError> {
        let mut public = numbers(&[ECC, SHA256]);
        public.extend(STORAGE_KEY.to_be_bytes());
        // No policy; AES-128 for what it keeps, no scheme, the curve, no derivation, an empty point.
        public.extend(numbers(&[0, AES, 128, CFB, NULL, NIST_P256, NULL, 0, 0]));
        let answer = self.create(CREATE_PRIMARY, OWNER, &[0; 4], &public)?;
        number(&answer).ok_or(TpmError::Short(CREATE_PRIMARY))
    }

    fn create(
        &mut self,
        command: u32,
        parent: u32,
        sensitive: &[u8],
        public: &[u8],
    ) -> Result<Vec<u8>, TpmError> {
        let mut body = parent.to_be_bytes().to_vec();
        body.extend(authorised(PASSWORD));
        body.extend(counted(sensitive));
        body.extend(counted(public));
        // Nothing from outside, and no registers to be noted.
        body.extend([0; 6]);
        self.send(SESSIONS, command, &body)
    }

    /// A session whose policy is that these registers have the values that they have now.
    fn session(&mut self, kind: u8, registers: &[u8]) -> Result<u32, TpmError> {
        let mut body = NOBODY.to_be_bytes().to_vec();
        body.extend(NOBODY.to_be_bytes());
        body.extend(counted(&[0; 16]));
        body.extend(counted(&[]));
        body.push(kind);
        body.extend(numbers(&[NULL, SHA256]));
        let answer = self.send(NO_SESSIONS, START_AUTH_SESSION, &body)?;
        let session = number(&answer).ok_or(TpmError::Short(START_AUTH_SESSION))?;
        let mut body = session.to_be_bytes().to_vec();
        body.extend(counted(&[]));
        body.extend(1_u32.to_be_bytes());
        body.extend(SHA256.to_be_bytes());
        let mut selection = [0_u8; 3];
        for register in registers {
            if let Some(byte) = selection.get_mut(usize::from(register / 8)) {
                *byte |= 1 << (register % 8);
            }
        }
        body.push(3);
        body.extend(selection);
        self.send(NO_SESSIONS, POLICY_PCR, &body)?;
        Ok(session)
    }

    /// Sends a command; gives what follows the header of the answer.
    fn send(&mut self, tag: u16, command: u32, body: &[u8]) -> Result<Vec<u8>, TpmError> {
        let size = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
        let mut message = tag.to_be_bytes().to_vec();
        message.extend(size.to_be_bytes());
        message.extend(command.to_be_bytes());
        message.extend(body);
        let answer = self.0.exchange(&message)?;
        let code = answer.get(6..).and_then(number).ok_or(TpmError::Short(command))?;
        match (command, code) {
            (_, 0) => Ok(answer.get(HEADER..).unwrap_or_default().to_vec()),
            (UNSEAL, POLICY_FAILED) => Err(TpmError::RegistersDiffer),
            (LOAD, NOT_OURS) => Err(TpmError::OtherTpm),
            (command, answer) => Err(TpmError::Refused { command, answer }),
        }
    }
}

/// Authorisation by the empty password, or by a session.
fn authorised(by: u32) -> Vec<u8> {
    let mut area = 9_u32.to_be_bytes().to_vec();
    area.extend(by.to_be_bytes());
    // No nonce, no attributes, no HMAC.
    area.extend([0; 5]);
    area
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Bytes with their length in front.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let mut all = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    all.extend(bytes);
    all
}

/// Bytes with their length in front, and what follows them.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?);
    bytes.split_at_checked(2 + usize::from(length))
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    impl Transport for UnixStream {
        fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
            self.write_all(command)?;
            let mut response = vec![0; MAX_RESPONSE];
            let length = self.read(&mut response)?;
            response.truncate(length);
            Ok(response)
        }
    }

    /// A TPM emulator that was just switched on, with its state in `folder`.
    struct On(Child, Tpm<UnixStream>);

    impl On {
        fn with(folder: &Path) -> Self {
            let socket = folder.join("socket");
            let _ = std::fs::remove_file(&socket);
            let child = Command::new("swtpm")
                .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
                .arg("--tpmstate")
                .arg(format!("dir={}", folder.display()))
                .arg("--server")
                .arg(format!("type=unixio,path={}", socket.display()))
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let begun = Instant::now();
            let stream = loop {
                match UnixStream::connect(&socket) {
                    Ok(stream) => break stream,
                    Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{error}"),
                }
                std::thread::yield_now();
            };
            Self(child, Tpm(stream))
        }

        /// The firmware measures something into a register.
        fn extend(&mut self, register: u32) {
            let mut body = register.to_be_bytes().to_vec();
            body.extend(authorised(PASSWORD));
            body.extend(1_u32.to_be_bytes());
            body.extend(SHA256.to_be_bytes());
            body.extend([1; 32]);
            self.1.send(SESSIONS, 0x182, &body).unwrap();
        }
    }

    impl Drop for On {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_key_comes_back_only_to_the_start_and_the_tpm_that_it_was_sealed_to() {
        if Command::new("swtpm").arg("--version").output().is_err() {
            println!("skipped: there is no swtpm on this machine");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let measured = |register| {
            let mut on = On::with(folder.path());
            on.extend(7);
            on.extend(register);
            on
        };
        let sealed = measured(4).1.seal(b"key", &[7, 4]).unwrap();
        assert_eq!(measured(4).1.unseal(&sealed, &[4, 7]).unwrap(), b"key");
        assert!(matches!(measured(7).1.unseal(&sealed, &[4, 7]), Err(TpmError::RegistersDiffer)));
        // Another policy than the one that it was sealed with does not help.
        assert!(matches!(measured(4).1.unseal(&sealed, &[7]), Err(TpmError::RegistersDiffer)));
        std::fs::remove_file(folder.path().join("tpm2-00.permall")).unwrap();
        assert!(matches!(measured(4).1.unseal(&sealed, &[4, 7]), Err(TpmError::OtherTpm)));
    }
}
