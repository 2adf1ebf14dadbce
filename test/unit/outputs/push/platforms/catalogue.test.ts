import t from 'tap';
import platformsFile from '../../../../../config/platforms.json' with { type: 'json' };
import { parseDestination } from '../../../../../src/net/destination.ts';
import { PlatformCatalogue } from '../../../../../src/outputs/push/platforms/catalogue.ts';

const catalogue = PlatformCatalogue.create();
const parse = (url: string) => parseDestination(url, 'cam', { streamNamePrefix: 'rtmp_', fullUrl: true });

t.test('hosts belong to their platform, and to no other', async (t) => {
  for (const [host, id] of [
    ['a.rtmps.youtube.com', 'youtube'],
    ['B.RTMPS.YouTube.com.', 'youtube'],
    ['live.twitch.tv', 'twitch'],
    ['rtmp-api.facebook.com', 'facebook'],
    ['fa723fc1b171.global-contribute.live-video.net', 'kick'],
    ['a1b2.contribute.live-video.net', 'ivs'],
    ['youtube.com.example.org', undefined],
    ['notfacebook.com', undefined],
    ['127.0.0.1', undefined],
  ] as const)
    t.equal(catalogue.ofHost(host)?.id, id, host);
});

t.test('every ingest server belongs to its own platform and takes a key as its stream name', async (t) => {
  for (const { id, ingest, backup } of catalogue.platforms) {
    if (!ingest) {
      t.throws(() => catalogue.urls({ platform: id, streamKey: 'KEY' }), {
        code: 'INVALID_REQUEST',
        message: new RegExp(`${id} .*rtmpUrl`),
      });
      continue;
    }
    const { rtmpUrl, backupUrl } = catalogue.urls({
      platform: id,
      streamKey: 'KEY?a=b&c',
      backup: backup !== undefined,
    });
    for (const url of [rtmpUrl, ...(backupUrl ? [backupUrl] : [])]) {
      const destination = parse(url);
      t.equal(destination.streamName.reveal(), 'KEY?a=b&c', id);
      t.notMatch(destination.redacted, 'KEY');
      t.equal(catalogue.ofHost(destination.host)?.id, id, destination.host);
    }
  }
});

t.test('the backup server of YouTube has its query in the application', async (t) => {
  const { backupUrl } = catalogue.urls({ platform: 'youtube', streamKey: 'KEY', backup: true });
  const { app, streamName } = parse(backupUrl!);
  t.equal(app.reveal(), 'live2?backup=1');
  t.equal(streamName.reveal(), 'KEY');
});

t.test('refusals name the field and the remedy, and never the key', async (t) => {
  for (const [push, message] of [
    [{ platform: 'youtub' }, /^platform "youtub" is not known\. Known: youtube, twitch, .*rtmpUrl/],
    [{ platform: 'twitch', backup: true }, /^backup is not possible with twitch.*: youtube\./],
  ] as const)
    t.throws(() => catalogue.urls({ streamKey: 'geheim', ...push }), { code: 'INVALID_REQUEST', message });
  try {
    catalogue.urls({ platform: 'x'.repeat(1000), streamKey: 'geheim' });
  } catch (error) {
    t.notMatch(String(error), /geheim|x{61}/);
  }
});

t.test('a file that is not valid stops the start and names the place', async (t) => {
  const broken = (change: (file: typeof platformsFile) => void): object => {
    const file = structuredClone(platformsFile);
    change(file);
    return file;
  };
  for (const [file, message] of [
    [broken((file) => (file.platforms[0]!.id = 'You Tube')), /platforms\.0\.id/],
    [broken((file) => (file.platforms[1]!.id = 'youtube')), /has the platform youtube twice/],
    [broken((file) => (file.platforms[0]!.rules[0]!.source = 'nobody')), /names the source nobody in youtube/],
    [
      broken((file) =>
        file.platforms[0]!.rules.push({ check: 'keyFrameInterval', limit: 'hard', source: 'obs' } as never),
      ),
      /rules/,
    ],
    [broken((file) => (file.sources.obs.checked = 'yesterday')), /sources\.obs\.checked/],
    [{}, /sources/],
  ] as const)
    t.throws(() => PlatformCatalogue.create(file), { code: 'SETTINGS_INVALID', message });
});
