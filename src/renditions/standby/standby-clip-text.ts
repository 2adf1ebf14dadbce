/** A text in lines that fit into a frame. */
export interface WrappedText {
  readonly fontSize: number;
  readonly lines: readonly string[];
}

/** Characters that are drawn at most; the rest is replaced by an ellipsis. */
export const MAX_STANDBY_TEXT = 500;

/** Shares of the frame that the text may fill. */
const WIDEST = 0.9;
const HIGHEST = 0.8;
/** Distance between two lines, in font sizes. */
export const LINE_HEIGHT = 1.3;
const LARGEST = 1 / 10;
const SMALLEST = 1 / 40;
/** Below this number of pixels, letters cannot be read. */
const SMALLEST_PIXELS = 8;

/** Wraps a text, in the largest font in which it fits. If it does not fit in the smallest one, it is cut. */
export function wrapText(text: string, width: number, height: number): WrappedText {
  const clean = cleanText(text);
  const side = Math.min(height, width);
  const smallest = Math.max(SMALLEST_PIXELS, Math.round(side * SMALLEST));
  for (let fontSize = Math.max(smallest, Math.round(side * LARGEST)); ; fontSize--) {
    const lines = wrap(clean, (width * WIDEST) / fontSize);
    const fitting = Math.max(1, Math.floor((height * HIGHEST) / (fontSize * LINE_HEIGHT)));
    if (lines.length <= fitting) return { fontSize, lines };
    if (fontSize <= smallest)
      return { fontSize, lines: [...lines.slice(0, fitting - 1), `${lines[fitting - 1]!.slice(0, -1)}…`] };
  }
}

function cleanText(text: string): string {
  const characters = [
    ...text
      .replace(/\r\n?/g, '\n')
      .replace(/\t/g, ' ')
      .replace(/[\p{Cc}\p{Cs}]/gu, (char) => (char === '\n' ? char : '')),
  ];
  return (characters.length > MAX_STANDBY_TEXT ? [...characters.slice(0, MAX_STANDBY_TEXT - 1), '…'] : characters)
    .join('')
    .trim();
}

/** @param width in font sizes */
function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    for (const word of paragraph.split(/ +/).flatMap((word) => pieces(word, width))) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (line !== '' && widthOf(longer) > width) {
        lines.push(line);
        line = word;
      } else line = longer;
    }
    return [...lines, line];
  });
}

/** A word that is wider than a line, in pieces. */
function pieces(word: string, width: number): string[] {
  const parts: string[] = [''];
  for (const char of word) {
    if (parts.at(-1) !== '' && widthOf(parts.at(-1)! + char) > width) parts.push('');
    parts[parts.length - 1] += char;
  }
  return parts;
}

/** Widths in font sizes, a little more than those of DejaVu Sans, which is among the wide fonts. */
function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

function charWidth(char: string): number {
  if (/[ijlI.,:;'!|() ]/.test(char)) return 0.4;
  if (/[mwMW@%…—]/.test(char)) return 1.02;
  // CJK, Hangul, full-width forms, emoji.
  if (/[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uff60]|[\u{1f000}-\u{3ffff}]/u.test(char))
    return 1.1;
  return /[\p{Lu}\p{N}]/u.test(char) ? 0.8 : 0.66;
}
