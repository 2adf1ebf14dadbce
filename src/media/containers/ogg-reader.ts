/** The packets of an Ogg file with one stream (RFC 3533), without its two header packets. For files that are whole. */

const PAGE_HEADER_BYTES = 27;
const FULL_SEGMENT = 255;
/** OpusHead and OpusTags (RFC 7845, 3). */
const HEADER_PACKETS = 2;

/** What follows something malformed is left out. */
export function oggPackets(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  let pieces: Buffer[] = [];
  for (let at = 0; at + PAGE_HEADER_BYTES <= file.length && file.toString('latin1', at, at + 4) === 'OggS';) {
    const segments = file[at + 26]!;
    const table = file.subarray(at + PAGE_HEADER_BYTES, at + PAGE_HEADER_BYTES + segments);
    let body = at + PAGE_HEADER_BYTES + segments;
    for (const bytes of table) {
      pieces.push(file.subarray(body, body + bytes));
      body += bytes;
      if (bytes === FULL_SEGMENT) continue;
      packets.push(Buffer.concat(pieces));
      pieces = [];
    }
    if (body > file.length) break;
    at = body;
  }
  return packets.slice(HEADER_PACKETS);
}
