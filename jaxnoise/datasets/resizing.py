"""Pictures of other sizes brought to one, for --image_size."""

import collections

from PIL import Image

from jaxnoise.config import counted

_NAMED = 3  # sizes that the log names; a folder of photographs may have thousands


class Resizing:
    """Brings pictures to size × size pixels, and counts the sizes that they had."""

    def __init__(self, size: int):
        self.size = size
        self._found: collections.Counter[str] = collections.Counter()

    def __call__(self, image: Image.Image) -> Image.Image:
        """The picture as `resized` makes it."""
        self._found[_size(image)] += 1
        return resized(image, self.size)

    def in_words(self) -> str:
        """How many of the pictures were changed, and from which sizes, the most frequent first."""
        size, total = f"{self.size}x{self.size}", self._found.total()
        others = [(name, number) for name, number in self._found.most_common() if name != size]
        if not others:
            return f"--image_size={self.size}: all images are {size} as stored"
        told = [f"{number} of {name}" for name, number in others[:_NAMED]]
        if rest := others[_NAMED:]:
            of_rest = sum(number for _, number in rest)
            told.append(f"{of_rest} of {counted(len(rest), 'other size')}")
        changed = sum(number for _, number in others)
        return f"--image_size={self.size}: {changed} of {counted(total, 'image')} brought to " + (
            f"{size}: {', '.join(told)}"
        )


def resized(image: Image.Image, size: int) -> Image.Image:
    """Scales the shorter side to `size` pixels, and cuts the middle out of the longer one.

    Pillow's bilinear filter, whose support grows with the scale, so that shrinking does not alias;
    smaller pictures are enlarged. The longer side becomes ⌊size · longer / shorter⌋ pixels, and of
    these `size` stay, from the even one of the two nearest where half a pixel is left over. This is
    what torchvision's Resize(size) and CenterCrop(size) make of Pillow's pictures.

    Args:
      image: of mode L or RGB. Its EXIF data are ignored.
      size: in pixels.

    Returns:
      of the same mode; the picture itself if it has this size.
    """
    if image.size == (size, size):
        return image
    shorter = min(image.size)
    width, height = (size * side // shorter for side in image.size)
    left, top = (round((side - size) / 2) for side in (width, height))
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    return scaled.crop((left, top, left + size, top + size))


def _size(image: Image.Image) -> str:
    """Height first, as in array shapes."""
    return f"{image.height}x{image.width}"
