import t from 'tap';
import { onMetaData } from '../../../../src/media/containers/script-data.ts';
import { parseOnMetaData } from '../../../helpers/flv-tags.ts';

const hex = (text: string): string => Buffer.from(text).toString('hex');

t.test('values under the names of onMetaData; unknown values are left out', async (t) => {
  const metadata = {
    width: 1280,
    height: 720,
    frameRate: 29.97,
    videoBitrate: 2500,
    audioBitrate: 128,
    audioSampleRate: 48_000,
    audioChannels: 2,
    videoCodecId: 7,
    audioCodecId: 10,
  };
  t.same(parseOnMetaData(onMetaData(metadata)), {
    width: 1280,
    height: 720,
    framerate: 29.97,
    videodatarate: 2500,
    audiodatarate: 128,
    audiosamplerate: 48_000,
    audiochannels: 2,
    stereo: true,
    videocodecid: 7,
    audiocodecid: 10,
  });
  t.same(parseOnMetaData(onMetaData({})), {});
  const body = onMetaData({ width: 640, audioChannels: 1 }).toString('hex');
  // A string of 10 characters, then an ECMA array.
  t.ok(body.startsWith(`02000a${hex('onMetaData')}08`));
  t.ok(body.includes(`${hex('stereo')}0100`));
  t.notOk(body.includes(hex('height')));
});
