import { NAL_SPS, nalType, nalUnitsOf, readSequenceHeader } from './avc-nal.ts';
import { avcFrame } from './avc.ts';

/**
 * The body of a video tag with a key frame whose parameter sets precede it in band, for decoders that ignore a sequence
 * header in the middle of a stream. A frame that contains some is returned as it is.
 *
 * @param header body of the tag of the frame's sequence header
 */
export function withParameterSets(header: Buffer, frame: Buffer): Buffer {
  const nalUnits = [...nalUnitsOf(frame)];
  if (nalUnits.some((nalUnit) => nalType(nalUnit) === NAL_SPS)) return frame;
  const { sps, pps } = readSequenceHeader(header);
  return avcFrame(
    [...sps, ...pps, ...nalUnits].map((nalUnit) => [nalUnit]),
    true,
    frame.readIntBE(2, 3),
  );
}
