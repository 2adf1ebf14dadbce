import fc from 'fast-check';
import t from 'tap';
import { parseProperties } from '../../../src/config/properties.ts';

const read = (text: string) => parseProperties(text, 'f').properties.map(({ key, value }) => [key, value]);

t.test('the forms of a line', async (t) => {
  t.strictSame(read('a=1\nb:2\nc 3\nd = 4\ne\t:\t5\n  f  =  6 6  \n\ng\nh=\ni==x\nj=a=b:c'), [
    ['a', '1'],
    ['b', '2'],
    ['c', '3'],
    ['d', '4'],
    ['e', '5'],
    ['f', '6 6'],
    ['g', ''],
    ['h', ''],
    ['i', '=x'],
    ['j', 'a=b:c'],
  ]);
  t.strictSame(read('rtmp_flash_ver_subscriber = LNX 76.219.189.0'), [
    ['rtmp_flash_ver_subscriber', 'LNX 76.219.189.0'],
  ]);
  t.strictSame(
    read('url=rtmp://h:1935/live?a=b#c!d'),
    [['url', 'rtmp://h:1935/live?a=b#c!d']],
    'a comment begins at the start of a line only',
  );
});

t.test('comments, and what they comment out', async (t) => {
  const { properties, commentedOut } = parseProperties('# text\n  ! more = text\n#a.b=1\n!c_d : 2\n## e = 3\nf=1', 'f');
  t.strictSame(properties, [{ key: 'f', value: '1', line: 6 }]);
  t.strictSame([...commentedOut], ['more', 'a.b', 'c_d', 'e']);
});

t.test('continued lines keep the number of the first', async (t) => {
  t.strictSame(parseProperties('\r\na=1,\\\r\n   2,\\\r\n   3\r\nb=x\\\\\r\nc=end\\', 'f').properties, [
    { key: 'a', value: '1,2,3', line: 2 },
    { key: 'b', value: 'x\\', line: 5 },
    { key: 'c', value: 'end', line: 6 },
  ]);
  t.strictSame(read('a=1\\\n# no comment'), [['a', '1# no comment']]);
  t.strictSame(read('# a comment is not continued \\\nb=1'), [['b', '1']]);
});

t.test('escapes', async (t) => {
  t.strictSame(read('a\\=b\\:c\\ d=\\t\\n\\u00e9\\\\\\q'), [['a=b:c d', '\t\n\u00e9\\q']]);
  t.strictSame(read('\uFEFFa=ü'), [['a', 'ü']], 'a byte order mark and UTF-8');
  t.throws(() => read('x=1\na=C:\\users'), { code: 'SETTINGS_INVALID', message: /^f:2: / });
});

t.test('no text makes it hang or throw anything else', async () => {
  fc.assert(
    fc.property(
      fc
        .array(fc.constantFrom('\\', '\n', '\r', '=', ':', ' ', '#', '!', 'a', 'u', '0', '\\u00', '\u0000'))
        .map((parts) => parts.join('')),
      (text) => {
        try {
          parseProperties(text, 'f');
          return true;
        } catch (error) {
          return (error as { code?: string }).code === 'SETTINGS_INVALID';
        }
      },
    ),
    { numRuns: 2000 },
  );
});
