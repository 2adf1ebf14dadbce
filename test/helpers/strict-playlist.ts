/** Reads media playlists strictly, by the rules of RFC 8216bis that the gateway's playlists are subject to. Throws at the first violation. */

export interface ReadPart {
  readonly uri: string;
  readonly durationS: number;
  readonly independent: boolean;
}
export interface ReadSegment {
  readonly msn: number;
  readonly uri: string | undefined;
  readonly durationS: number | undefined;
  readonly map: string;
  readonly discontinuity: boolean;
  readonly dateMs: number;
  readonly parts: readonly ReadPart[];
}
export interface ReadReport {
  readonly uri: string;
  readonly msn: number;
  readonly part: number;
}
export interface ReadPlaylist {
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  readonly targetDurationS: number;
  readonly partTargetS: number;
  readonly segments: readonly ReadSegment[];
  readonly hint: string | undefined;
  readonly ended: boolean;
  /** Segments that are left out. */
  readonly skipped: number;
  readonly reports: readonly ReadReport[];
}

const check = (condition: boolean, message: string): void => {
  if (!condition) throw new Error(message);
};

function attributesOf(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  const pattern = /([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(,|$)/y;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (!match) throw new Error(`malformed attribute list: ${text}`);
    check(!attributes.has(match[1]!), `${match[1]} twice`);
    attributes.set(match[1]!, match[2]!.replace(/^"|"$/g, ''));
  }
  return attributes;
}

const ONCE = [
  ...['EXT-X-VERSION', 'EXT-X-TARGETDURATION', 'EXT-X-SERVER-CONTROL', 'EXT-X-PART-INF'],
  ...['EXT-X-MEDIA-SEQUENCE', 'EXT-X-DISCONTINUITY-SEQUENCE', 'EXT-X-SKIP', 'EXT-X-ENDLIST'],
];

export function readMediaPlaylist(text: string): ReadPlaylist {
  check(text.endsWith('\n') && !text.includes('\r') && !text.startsWith('\ufeff'), 'lines end with LF, without BOM');
  const lines = text.slice(0, -1).split('\n');
  check(lines[0] === '#EXTM3U', 'the first line is #EXTM3U');
  const values = new Map<string, string>();
  const segments: ReadSegment[] = [];
  const empty = () => ({ parts: [] as ReadPart[], discontinuity: false, dateMs: NaN, durationS: NaN });
  let [open, map, hint, begun] = [empty(), '', undefined as string | undefined, false];
  const reports: ReadReport[] = [];
  const decimal = (value: string | undefined): number => {
    check(/^\d+(\.\d+)?$/.test(value ?? ''), `${value} is not a decimal number`);
    return Number(value);
  };
  const skippedOf = (): number => {
    const text = attributesOf(values.get('EXT-X-SKIP') ?? '').get('SKIPPED-SEGMENTS');
    check(values.has('EXT-X-SKIP') === (text !== undefined) && text !== '0', 'EXT-X-SKIP has a number above 0');
    return text === undefined ? 0 : decimal(text);
  };
  const msn = (): number => decimal(values.get('EXT-X-MEDIA-SEQUENCE')) + skippedOf() + segments.length;
  for (const line of lines.slice(1)) {
    check(!values.has('EXT-X-ENDLIST'), 'nothing follows EXT-X-ENDLIST');
    if (!line.startsWith('#')) {
      check(line !== '' && !Number.isNaN(open.durationS), 'a URI follows its EXTINF');
      check(map !== '', 'a segment of fMP4 has an EXT-X-MAP');
      segments.push({ ...open, msn: msn(), uri: line, map });
      [open, begun] = [empty(), false];
      continue;
    }
    const [, tag, value = ''] = /^#(EXT[A-Z0-9-]*)(?::(.+))?$/.exec(line) ?? [];
    if (!tag) throw new Error(`no tag: ${line}`);
    check(!ONCE.includes(tag) || !values.has(tag), `${tag} twice`);
    if (ONCE.includes(tag)) {
      check(tag === 'EXT-X-ENDLIST' || (segments.length === 0 && !begun), `${tag} stands before the first segment`);
      values.set(tag, value);
      continue;
    }
    check(hint === undefined || tag === 'EXT-X-RENDITION-REPORT', 'a hint stands at the end');
    begun = true;
    const attributes = tag === 'EXTINF' ? new Map<string, string>() : attributesOf(tag.includes('DATE') ? '' : value);
    if (tag === 'EXTINF') open.durationS = decimal(value.replace(/,$/, ''));
    else if (tag === 'EXT-X-DISCONTINUITY') open.discontinuity = true;
    else if (tag === 'EXT-X-MAP') map = attributes.get('URI')!;
    else if (tag === 'EXT-X-PROGRAM-DATE-TIME') open.dateMs = Date.parse(value);
    else if (tag === 'EXT-X-PRELOAD-HINT') {
      check(attributes.get('TYPE') === 'PART', 'TYPE is PART');
      hint = attributes.get('URI');
    } else if (tag === 'EXT-X-RENDITION-REPORT') {
      const [uri = '', lastMsn, lastPart] = ['URI', 'LAST-MSN', 'LAST-PART'].map((name) => attributes.get(name));
      check(uri !== '' && !/^\w+:/.test(uri), 'a report has a relative URI');
      reports.push({ uri, msn: decimal(lastMsn), part: decimal(lastPart) });
    } else if (tag === 'EXT-X-PART') {
      check([undefined, 'YES'].includes(attributes.get('INDEPENDENT')), 'INDEPENDENT is YES');
      const part = { uri: attributes.get('URI')!, durationS: decimal(attributes.get('DURATION')) };
      open.parts.push({ ...part, independent: attributes.has('INDEPENDENT') });
    } else throw new Error(`unexpected ${tag}`);
  }
  if (begun && open.parts.length > 0) segments.push({ ...open, msn: msn(), uri: undefined, durationS: undefined, map });
  const target = decimal(values.get('EXT-X-TARGETDURATION'));
  check(Number.isInteger(target), 'the target duration is a whole number');
  check(Number(values.get('EXT-X-VERSION')) >= 6, 'EXT-X-MAP needs version 6');
  const partTargetS = decimal(attributesOf(values.get('EXT-X-PART-INF') ?? '').get('PART-TARGET'));
  const control = attributesOf(values.get('EXT-X-SERVER-CONTROL') ?? '');
  check(control.get('CAN-BLOCK-RELOAD') === 'YES', 'blocking reload');
  check(decimal(control.get('HOLD-BACK')) >= 3 * target, 'HOLD-BACK is at least three target durations');
  check(decimal(control.get('PART-HOLD-BACK')) >= 2 * partTargetS, 'PART-HOLD-BACK is at least two part targets');
  const skipUntil = control.get('CAN-SKIP-UNTIL');
  check(skipUntil === undefined || decimal(skipUntil) >= 6 * target, 'CAN-SKIP-UNTIL is at least six target durations');
  if (skippedOf() > 0) {
    check(skipUntil !== undefined && Number(values.get('EXT-X-VERSION')) >= 9, 'EXT-X-SKIP is announced');
    const leftS = segments.reduce(
      (sum, { durationS, parts }) => sum + (durationS ?? parts.reduce((s, p) => s + p.durationS, 0)),
      0,
    );
    check(leftS >= decimal(skipUntil) - target, 'nothing is left out that is nearer to the end');
  }
  for (const [index, { durationS, parts, dateMs }] of segments.entries()) {
    check(durationS === undefined || Math.round(durationS) <= target, `EXTINF ${durationS} is above the target`);
    check(!Number.isNaN(dateMs), 'each segment has a date');
    if (index > 0) check(dateMs >= segments[index - 1]!.dateMs, 'dates do not go back');
    for (const [at, part] of parts.entries()) {
      check(part.durationS <= partTargetS, `the part ${part.uri} of ${part.durationS} s is above the target`);
      const isLast = at === parts.length - 1;
      check(
        isLast || part.independent || part.durationS >= 0.85 * partTargetS - 1e-5,
        `the part ${part.uri} is too short`,
      );
    }
    if (durationS !== undefined && parts.length > 0)
      check(
        Math.abs(parts.reduce((sum, part) => sum + part.durationS, 0) - durationS) < 0.001,
        'parts fill the segment',
      );
  }
  const ended = values.has('EXT-X-ENDLIST');
  check(ended !== (hint !== undefined), 'a hint while it is live, and none at the end');
  return {
    mediaSequence: decimal(values.get('EXT-X-MEDIA-SEQUENCE')),
    discontinuitySequence: decimal(values.get('EXT-X-DISCONTINUITY-SEQUENCE')),
    ...{ targetDurationS: target, partTargetS, segments, hint, ended, skipped: skippedOf(), reports },
  };
}
