//! Content blocks of every kind, and how they look to a client whose revision is too old for a kind.
//! The picture and the sound are made here, so that the repository holds no binary files.

use base64::{Engine, prelude::BASE64_STANDARD};
use portreeve_mcp::{Feature, Version};
use serde_json::{Value, json};

/// A red square of 16 by 16 pixels.
pub(super) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAQMAAAAlPW0iAAAAA1BMVEXIHijZMm0HAAAADElEQVR42mNgIA0AAAAwAAEodEl9AAAAAElFTkSuQmCC";
/// The media type of [`PNG`].
pub(super) const PNG_TYPE: &str = "image/png";
/// The media type of [`tone`].
pub(super) const WAV_TYPE: &str = "audio/wav";

pub(super) fn text(text: impl Into<String>) -> Value {
    json!({"type": "text", "text": text.into()})
}

pub(super) fn image() -> Value {
    json!({"type": "image", "data": PNG, "mimeType": PNG_TYPE})
}

pub(super) fn audio() -> Value {
    json!({"type": "audio", "data": tone(), "mimeType": WAV_TYPE})
}

pub(super) fn link(uri: &str, name: &str, media_type: &str) -> Value {
    json!({"type": "resource_link", "uri": uri, "name": name, "mimeType": media_type})
}

pub(super) fn embedded(uri: &str, media_type: &str, text: &str) -> Value {
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": media_type, "text": text}})
}

/// A twentieth of a second of a 400 Hz triangle wave: 8 bits, mono, 8000 samples a second, as Base64 of a WAV file.
pub(super) fn tone() -> String {
    const RATE: u32 = 8000;
    const SAMPLES: u32 = RATE / 20;
    let mut wav = Vec::with_capacity(44 + SAMPLES as usize);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + SAMPLES).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16u32.to_le_bytes());
    wav.extend_from_slice(&1u16.to_le_bytes()); // PCM
    wav.extend_from_slice(&1u16.to_le_bytes()); // one channel
    wav.extend_from_slice(&RATE.to_le_bytes()); // samples a second
    wav.extend_from_slice(&RATE.to_le_bytes()); // bytes a second
    wav.extend_from_slice(&1u16.to_le_bytes()); // bytes a sample
    wav.extend_from_slice(&8u16.to_le_bytes()); // bits a sample
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&SAMPLES.to_le_bytes());
    // One wave is 20 samples: ten steps up, ten steps down.
    wav.extend((0..SAMPLES).map(|at| 64 + 12 * u8::try_from((at % 20).min(20 - at % 20)).unwrap_or(0)));
    BASE64_STANDARD.encode(wav)
}

/// Replaces what the revision does not know by a text that says what stood there.
pub(super) fn fit(block: Value, version: Version) -> Value {
    let stand_in = match block["type"].as_str() {
        Some("audio") if !version.supports(Feature::Audio) => {
            "[a sound, which this protocol revision cannot carry]"
        }
        Some("resource_link") if !version.supports(Feature::ResourceLink) => {
            return text(format!("[resource] {}", block["uri"].as_str().unwrap_or_default()));
        }
        _ => return block,
    };
    text(stand_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_and_the_sound_are_what_they_say() {
        let png = BASE64_STANDARD.decode(PNG).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let wav = BASE64_STANDARD.decode(tone()).unwrap();
        assert_eq!((&wav[..4], &wav[8..16]), (b"RIFF".as_slice(), b"WAVEfmt ".as_slice()));
        let size = u32::from_le_bytes(wav[4..8].try_into().unwrap());
        assert_eq!(size as usize + 8, wav.len());
        assert_ne!(wav[44], wav[54], "silence");
    }

    #[test]
    fn old_revisions_get_a_text_instead() {
        let rows = [
            (audio(), Version::V2024_11_05, "text"),
            (audio(), Version::V2025_03_26, "audio"),
            (link("test://a", "a", "text/plain"), Version::V2025_03_26, "text"),
            (link("test://a", "a", "text/plain"), Version::V2025_06_18, "resource_link"),
            (image(), Version::V2024_11_05, "image"),
        ];
        for (block, version, kind) in rows {
            assert_eq!(fit(block.clone(), version)["type"], kind, "{block} for {version}");
        }
    }
}
