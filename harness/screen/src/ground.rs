//! What is behind, and what is on it.

use crate::frame::Frame;

/// A channel may differ by this much from the background and still belong to it.
const SAME: u8 = 20;

/// What is behind the pages of the recovery environment, and behind the windows of its tools (Windows 10 and 11).
const RECOVERY: [u8; 3] = [32, 103, 178];

/// The background of a frame, and everything that is not it.
pub(crate) struct Ground {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Its colour.
    pub(crate) color: [u8; 3],
    /// How much of the frame it covers, in thousandths.
    pub(crate) share: usize,
    /// True for each pixel that is not background.
    pub(crate) ink: Vec<bool>,
    /// Of these, how many lie between the background and white, in thousandths: what letters in white
    /// or grey, smoothed or not, are made of.
    pub(crate) monochrome: usize,
    /// Nearly all pixels at the edges are of a colour other than black: no logo on a dark screen.
    pub(crate) reaches_the_edges: bool,
    /// Nearly all pixels at the edges are of the recovery environment's blue, whatever lies in front of it.
    pub(crate) edges_of_recovery: bool,
    /// The arrow of a mouse is on it, as NT has drawn it since its beginning.
    pub(crate) has_pointer: bool,
}

impl Ground {
    /// `without` is a part of the frame that is known already (a QR code): left, top, right, bottom.
    pub(crate) fn of(frame: &Frame, without: Option<[usize; 4]>) -> Self {
        let color = commonest(frame);
        let mut ink: Vec<bool> =
            frame.pixels().map(|pixel| distance(pixel, color) > SAME).collect();
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        if let Some([left, top, right, bottom]) = without {
            for y in top..bottom.min(height) {
                ink[y * width + left.min(width)..y * width + right.min(width)].fill(false);
            }
        }
        let count = ink.iter().filter(|ink| **ink).count();
        let plain = frame
            .pixels()
            .zip(&ink)
            .filter(|(pixel, ink)| **ink && towards_white(*pixel, color))
            .count();
        Self {
            reaches_the_edges: edges_are(frame, |pixel| pixel.iter().any(|channel| *channel >= 24)),
            edges_of_recovery: edges_are(frame, |pixel| distance(pixel, RECOVERY) <= 6),
            has_pointer: has_pointer(frame),
            width,
            height,
            color,
            share: thousandths(ink.len() - count, ink.len()),
            monochrome: if count == 0 { 1000 } else { thousandths(plain, count) },
            ink,
        }
    }

    /// Nearly black.
    pub(crate) fn is_black(&self) -> bool {
        self.color.iter().all(|channel| *channel < 24)
    }

    /// The blue of text modes (0, 0, 168) and of the classic stop screen (0, 0, 128).
    pub(crate) fn is_navy(&self) -> bool {
        let [red, green, blue] = self.color;
        red < 24 && green < 24 && (104..=190).contains(&blue)
    }

    /// The blue of Windows 8 and later, for stops, boot manager and recovery environment: (16, 113, 170),
    /// (0, 120, 215), (0, 103, 184).
    pub(crate) fn is_bright_blue(&self) -> bool {
        let [red, green, blue] = self.color;
        red < 64 && (64..=150).contains(&green) && blue > 140 && blue - green > 40
    }

    /// The green that preview builds have in place of blue.
    pub(crate) fn is_green(&self) -> bool {
        let [red, green, blue] = self.color;
        red < 64 && blue < 64 && (90..=170).contains(&green)
    }
}

/// Rows of the arrow in which it only grows.
const ARROW: usize = 10;

/// True where the upper part of the arrow is somewhere: a black edge that goes down, another one that goes down and
/// to the right from the same point, and white between them.
fn has_pointer(frame: &Frame) -> bool {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let pixels: Vec<[u8; 3]> = frame.pixels().collect();
    let is_black = |at: usize| pixels[at].iter().all(|channel| *channel < 8);
    let is_white = |at: usize| pixels[at].iter().all(|channel| *channel > 247);
    let arrow = |x: usize, y: usize| {
        (0..ARROW).all(|down| {
            let left = (y + down) * width + x;
            is_black(left) && is_black(left + down) && (1..down).all(|right| is_white(left + right))
        })
    };
    let (across, down) = (width.saturating_sub(ARROW), height.saturating_sub(ARROW));
    (0..down).any(|y| (0..across).any(|x| is_black(y * width + x) && arrow(x, y)))
}

/// True where nine of ten pixels of the outermost rows and columns are of this kind.
fn edges_are(frame: &Frame, of_this_kind: impl Fn([u8; 3]) -> bool) -> bool {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let (mut these, mut all) = (0, 0);
    for (at, pixel) in frame.pixels().enumerate() {
        let (x, y) = (at % width.max(1), at / width.max(1));
        if x == 0 || y == 0 || x + 1 == width || y + 1 == height {
            all += 1;
            these += usize::from(of_this_kind(pixel));
        }
    }
    thousandths(these, all) >= 900
}

pub(crate) fn thousandths(part: usize, whole: usize) -> usize {
    part.saturating_mul(1000).checked_div(whole).unwrap_or(0)
}

pub(crate) fn distance(one: [u8; 3], two: [u8; 3]) -> u8 {
    one.iter().zip(two).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
}

/// The mean colour of the fullest of 4096 bins, 16 levels a channel.
fn commonest(frame: &Frame) -> [u8; 3] {
    let mut bins = vec![[0_u64; 4]; 4096];
    for pixel in frame.pixels() {
        let bin = &mut bins[bin_of(pixel)];
        bin[0] += 1;
        for (sum, channel) in bin[1..].iter_mut().zip(pixel) {
            *sum += u64::from(channel);
        }
    }
    let [count, red, green, blue] =
        bins.into_iter().max_by_key(|bin| bin[0]).unwrap_or([1, 0, 0, 0]);
    let mean = |sum: u64| u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX);
    [mean(red), mean(green), mean(blue)]
}

/// True of a bin whose colours have no tint to speak of.
pub(crate) fn is_neutral_bin(bin: usize) -> bool {
    let channels = [bin >> 8, bin >> 4 & 15, bin & 15];
    channels.iter().max().zip(channels.iter().min()).is_some_and(|(most, least)| most - least <= 1)
}

pub(crate) fn bin_of([red, green, blue]: [u8; 3]) -> usize {
    usize::from(red >> 4) << 8 | usize::from(green >> 4) << 4 | usize::from(blue >> 4)
}

/// True for a pixel that is the background mixed with white, or with a grey.
fn towards_white(pixel: [u8; 3], ground: [u8; 3]) -> bool {
    // The channel with the longest way to white tells how far along this pixel is.
    let Some(widest) = (0..3).max_by_key(|channel| 255 - ground[*channel]) else { return false };
    let way = i32::from(255 - ground[widest]);
    if way == 0 {
        return false;
    }
    let gone = i32::from(pixel[widest]) - i32::from(ground[widest]);
    (0..3).all(|channel| {
        let expected = i32::from(ground[channel]) + (255 - i32::from(ground[channel])) * gone / way;
        (i32::from(pixel[channel]) - expected).abs() <= 48
    })
}
