/** Offset of the decoder configuration record in the body of a sequence header's tag. */
const RECORD = 5;
/** Offset of the NAL units in the body of a frame's tag: codec, packet type and composition time precede them. */
const FRAME_HEADER_BYTES = 5;
const NAL_SPS = 7;
const PARAMETER_SETS_MASK = 0x1f;

/**
 * The body of a video tag with a key frame whose parameter sets precede it in band, for decoders that ignore a sequence
 * header in the middle of a stream. A frame that contains some is returned as it is.
 *
 * @param header body of the tag of the frame's sequence header, with NAL lengths of four bytes
 */
export function withParameterSets(header: Buffer, frame: Buffer): Buffer {
  if (containsSps(frame)) return frame;
  const sets = parameterSets(header);
  return Buffer.concat([
    frame.subarray(0, FRAME_HEADER_BYTES),
    ...sets.flatMap((set) => [lengthOf(set), set]),
    frame.subarray(FRAME_HEADER_BYTES),
  ]);
}

/** The SPS and PPS of a sequence header (ISO/IEC 14496-15, 5.3.3.1); those that are complete if it is cut off. */
export function parameterSets(header: Buffer): Buffer[] {
  const sets: Buffer[] = [];
  let offset = RECORD + 5;
  for (const mask of [PARAMETER_SETS_MASK, 0xff]) {
    if (offset >= header.length) break;
    for (let count = header[offset++]! & mask; count > 0; count--) {
      if (offset + 2 > header.length) return sets;
      const end = offset + 2 + header.readUInt16BE(offset);
      if (end > header.length) return sets;
      sets.push(header.subarray(offset + 2, end));
      offset = end;
    }
  }
  return sets;
}

function containsSps(frame: Buffer): boolean {
  let offset = FRAME_HEADER_BYTES;
  while (offset + 5 <= frame.length) {
    if ((frame[offset + 4]! & 0x1f) === NAL_SPS) return true;
    offset += 4 + frame.readUInt32BE(offset);
  }
  return false;
}

function lengthOf(nalUnit: Buffer): Buffer {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(nalUnit.length);
  return length;
}
