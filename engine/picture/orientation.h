// EXIF orientation: how a stored picture has to be turned to stand upright, in the numbers 1 to 8 that EXIF and
// TIFF share.
#pragma once
#include "engine/picture/image_formats.h"

namespace gan::formats {

// Whether data begin with the mark of EXIF data in a JPEG segment.
bool has_exif_mark(Bytes data);

// The tag 0x0112 of EXIF data, which begin with "II" or "MM", the mark before them aside: 1 (upright) if it is
// absent or the data are damaged: they are a note beside the picture, no reason to refuse it.
int exif_orientation(Bytes exif);

// Turns a stored picture upright. Orientations 5 to 8 exchange height and width.
Image turned_upright(Image image, int orientation);

}  // namespace gan::formats
