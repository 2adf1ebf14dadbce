import fc from 'fast-check';
import t from 'tap';
import { filterValue } from '../../../src/ffmpeg/ffmpeg-standby-args.ts';
import { LINE_HEIGHT, MAX_STANDBY_TEXT, wrapText } from '../../../src/renditions/standby/standby-clip-text.ts';

t.test('a short text is one line in the largest font', async (t) => {
  t.strictSame(wrapText('Starting soon', 1280, 720), { fontSize: 72, lines: ['Starting soon'] });
  t.strictSame(wrapText('  We’ll be\r\nright back\t! ', 1280, 720).lines, ['We’ll be', 'right back !']);
});

t.test('a longer one is wrapped between words, and an upright frame wraps earlier', async (t) => {
  const text = 'We have a short break and will be right back with the second half';
  t.strictSame(wrapText(text, 1280, 720).lines.join(' '), text);
  t.ok(wrapText(text, 720, 1280).lines.length > wrapText(text, 1280, 720).lines.length);
});

t.test('words that are wider than the frame are broken', async (t) => {
  const { lines } = wrapText('漢'.repeat(60), 640, 360);
  t.ok(lines.length > 1);
  t.equal(lines.join(''), '漢'.repeat(60));
});

t.test('what does not fit is cut', async (t) => {
  t.match(wrapText('m'.repeat(10_000), 160, 90).lines.at(-1), /…$/);
  t.equal(wrapText('a'.repeat(10_000), 1920, 1080).lines.join('').length, MAX_STANDBY_TEXT);
});

t.test('any text fits, without control characters', async (t) => {
  const sizes = fc.constantFrom([1280, 720], [720, 1280], [16, 16], [160, 90], [4096, 16]);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 800 }), sizes, (text, [width, height]) => {
      const { fontSize, lines } = wrapText(text, width!, height!);
      const high = lines.length * fontSize * LINE_HEIGHT;
      return (lines.length === 1 || high <= height!) && !lines.some((line) => /\p{Cc}/u.test(line));
    }),
  );
});

t.test('a value of a filter is escaped for both parsers', async (t) => {
  t.equal(filterValue('/tmp/plain-1'), '/tmp/plain-1');
  t.equal(filterValue("a:b'c,d[e];f\\g"), "a\\\\:b\\\\\\'c\\,d\\[e\\]\\;f\\\\\\\\g");
});
