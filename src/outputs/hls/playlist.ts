/** Writes the playlists of HLS (RFC 8216bis). Pure. */

export interface PlaylistPart {
  readonly durationMs: number;
  /** Begins with a key frame. */
  readonly independent: boolean;
}

export interface PlaylistSegment {
  /** Media sequence number. */
  readonly msn: number;
  /** Milliseconds since 1970 at which its media was received. */
  readonly wallMs: number;
  /** Its media does not continue that of the segment before. */
  readonly discontinuity: boolean;
  /** Discontinuities from the beginning of the stream up to its first frame. */
  readonly discontinuities: number;
  /** The initialisation section. */
  readonly init: number;
  readonly parts: readonly PlaylistPart[];
  /** Nothing is added to it any more. */
  readonly complete: boolean;
}

export interface MediaPlaylist {
  /** At least one. Only the last one may be incomplete. */
  readonly segments: readonly PlaylistSegment[];
  /** Seconds. */
  readonly targetDurationS: number;
  readonly partTargetMs: number;
  /** The stream has ended. */
  readonly ended: boolean;
  /** Whether older segments are left out (`EXT-X-SKIP`). */
  readonly skips: 'never' | 'on request' | 'now';
  /** Where the playlists of the other qualities end. */
  readonly reports: readonly RenditionReport[];
}

/** The last part of another quality (`EXT-X-RENDITION-REPORT`). */
export interface RenditionReport {
  readonly uri: string;
  readonly msn: number;
  readonly part: number;
}

const segmentUri = (msn: number): string => `${msn}.m4s`;
const partUri = (msn: number, index: number): string => `${msn}.${index}.m4s`;
const initUri = (init: number): string => `init${init}.mp4`;

/** Parts are listed for this many target durations before the end of a playlist (RFC 8216bis, 6.2.2). */
const TARGET_DURATIONS_WITH_PARTS = 3;
/** Target durations between the end of a playlist and where players begin (RFC 8216bis, 4.4.3.8). */
const HOLD_BACK = 3;
/** Segments further from the end may be left out, in target durations (RFC 8216bis, 4.4.3.8). */
const SKIP_UNTIL = 6;

const seconds = (ms: number): string => (ms / 1000).toFixed(5);
export const durationOf = ({ parts }: Pick<PlaylistSegment, 'parts'>): number =>
  parts.reduce((sum, { durationMs }) => sum + durationMs, 0);

export function mediaPlaylist({
  segments,
  targetDurationS,
  partTargetMs,
  ended,
  skips,
  reports,
}: MediaPlaylist): string {
  const first = segments[0];
  if (!first) throw new RangeError('a playlist needs a segment');
  const skipUntil = skips === 'never' ? '' : `,CAN-SKIP-UNTIL=${targetDurationS * SKIP_UNTIL}`;
  const partHoldBack = seconds(partTargetMs * HOLD_BACK);
  const holdBack = `HOLD-BACK=${targetDurationS * HOLD_BACK},PART-HOLD-BACK=${partHoldBack}`;
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:9',
    `#EXT-X-TARGETDURATION:${targetDurationS}`,
    `#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,${holdBack}${skipUntil}`,
    `#EXT-X-PART-INF:PART-TARGET=${seconds(partTargetMs)}`,
    `#EXT-X-MEDIA-SEQUENCE:${first.msn}`,
    `#EXT-X-DISCONTINUITY-SEQUENCE:${first.discontinuities - (first.discontinuity ? 1 : 0)}`,
  ];
  let init: number | undefined;
  let leftMs = segments.reduce((sum, segment) => sum + durationOf(segment), 0);
  let skipped = 0;
  if (skips === 'now')
    for (; skipped < segments.length; skipped++) {
      const durationMs = durationOf(segments[skipped]!);
      if (leftMs - durationMs <= SKIP_UNTIL * targetDurationS * 1000) break;
      leftMs -= durationMs;
    }
  if (skipped > 0) lines.push(`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skipped}`);
  for (const segment of segments.slice(skipped)) {
    if (segment.discontinuity) lines.push('#EXT-X-DISCONTINUITY');
    if (segment.init !== init) lines.push(`#EXT-X-MAP:URI="${initUri(segment.init)}"`);
    init = segment.init;
    lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(Math.round(segment.wallMs)).toISOString()}`);
    if (leftMs <= TARGET_DURATIONS_WITH_PARTS * targetDurationS * 1000)
      segment.parts.forEach((part, index) => lines.push(partLine(segment.msn, index, part)));
    leftMs -= durationOf(segment);
    if (segment.complete) lines.push(`#EXTINF:${seconds(durationOf(segment))},`, segmentUri(segment.msn));
  }
  const { msn, parts, complete } = segments.at(-1)!;
  if (ended) lines.push('#EXT-X-ENDLIST');
  else {
    lines.push(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${complete ? partUri(msn + 1, 0) : partUri(msn, parts.length)}"`);
    for (const report of reports)
      lines.push(`#EXT-X-RENDITION-REPORT:URI="${report.uri}",LAST-MSN=${report.msn},LAST-PART=${report.part}`);
  }
  return `${lines.join('\n')}\n`;
}

const partLine = (msn: number, index: number, { durationMs, independent }: PlaylistPart): string =>
  `#EXT-X-PART:DURATION=${seconds(durationMs)},URI="${partUri(msn, index)}"${independent ? ',INDEPENDENT=YES' : ''}`;

export interface Variant {
  readonly uri: string;
  /** Bits per second. */
  readonly bandwidth: number;
  readonly codecs: readonly string[];
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

export function multivariantPlaylist(variants: readonly Variant[]): string {
  const lines = ['#EXTM3U', '#EXT-X-VERSION:9'];
  for (const { uri, bandwidth, codecs, width, height } of variants) {
    const size = width && height ? `,RESOLUTION=${width}x${height}` : '';
    lines.push(`#EXT-X-STREAM-INF:BANDWIDTH=${Math.ceil(bandwidth)},CODECS="${codecs.join(',')}"${size}`, uri);
  }
  return `${lines.join('\n')}\n`;
}
