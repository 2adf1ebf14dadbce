import t from 'tap';
import { parseWavFormat } from '../../../../src/media/containers/wav.ts';
import { silentWav } from '../../../helpers/wav.ts';

t.test('the format of a WAV file', async (t) => {
  t.same(parseWavFormat(silentWav(100, 2)), { channels: 2, sampleRate: 8000, bytesPerSecond: 32_000 });
});

t.test('a format chunk after other chunks', async (t) => {
  const wav = silentWav(10);
  const list = Buffer.from('LIST\x03\0\0\0abc\0', 'latin1'); // padded to an even length
  t.match(parseWavFormat(Buffer.concat([wav.subarray(0, 12), list, wav.subarray(12)])), { sampleRate: 8000 });
});

t.test('the byte rate of PCM is calculated, whatever the file says', async (t) => {
  const wav = silentWav(10);
  wav.writeUInt32LE(4_000_000_000, 28);
  t.equal(parseWavFormat(wav)!.bytesPerSecond, 16_000);
  wav.writeUInt32LE(0, 24);
  t.equal(parseWavFormat(wav)!.bytesPerSecond, 1, 'never 0');
});

t.test('other files, and truncated ones', async (t) => {
  const wav = silentWav(10);
  for (let length = 0; length < 36; length++) t.equal(parseWavFormat(wav.subarray(0, length)), undefined);
  t.equal(parseWavFormat(Buffer.alloc(100, 'x')), undefined);
});
