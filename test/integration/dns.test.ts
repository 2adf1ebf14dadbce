import { EventEmitter } from 'node:events';
import t from 'tap';
import type { Rendition, RenditionEvents } from '../../src/renditions/rendition.ts';
import { GatewayError } from '../../src/errors.ts';
import { TAG_AUDIO, TAG_SCRIPT, TAG_VIDEO } from '../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../src/media/containers/tag-group.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import { DestinationPolicy } from '../../src/net/destination-policy.ts';
import { parseDestination } from '../../src/net/destination.ts';
import { LateGroups } from '../../src/outputs/late-groups.ts';
import { LiveStream } from '../../src/streams/live-stream.ts';
import { Transponder } from '../../src/outputs/push/transponder.ts';
import { createFlvTags } from '../helpers/flv-source.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(60_000);

t.test('a name that stops resolving during a push is retried, and pushed to when it resolves again', async (t) => {
  const nginx = await startNginxRtmp();
  t.teardown(() => nginx.stop());
  let known = true;
  let missed = 0;
  const policy = new DestinationPolicy(
    { destination_allow_networks: ['127.0.0.0/8'], destination_allow_hosts: [], destination_deny_hosts: [] },
    {
      lookup: async () => {
        if (known) return ['127.0.0.1'];
        missed++;
        throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
      },
    },
  );

  const tags = await createFlvTags({ seconds: 1 });
  const header = (type: number) => tags.find((tag) => tag.type === type && tag.sequenceHeader);
  const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
    metadata: { width: 320, height: 240 },
    videoHeader: header(TAG_VIDEO),
    audioHeader: header(TAG_AUDIO),
    hasVideo: true,
    recent: undefined,
    requestKeyFrame: () => {},
  }) as Rendition;
  const media = tags.filter((tag) => tag.type !== TAG_SCRIPT && !tag.sequenceHeader);
  let next = 0;
  const play = setInterval(() => {
    for (let i = 0; i < 4; i++, next++)
      rendition.emit(
        'tags',
        new TagGroup([
          {
            ...media[next % media.length]!,
            timestamp: media[next % media.length]!.timestamp + Math.floor(next / media.length) * 1000,
          },
        ]),
      );
  }, 40);
  t.teardown(() => clearInterval(play));

  const rtmpUrl = `rtmp://rtmp.example.com:${nginx.port}/live`;
  const destination = parseDestination(rtmpUrl, 'show', { streamNamePrefix: '', fullUrl: false });
  const invalid: string[] = [];
  const transponder = Transponder.start(
    {
      request: { streamName: 'show', rtmpUrl },
      stream: new LiveStream('show', undefined),
      destination,
      lease: { rendition, release: async () => undefined },
      ...(await policy.resolve(destination)),
    },
    {
      createPusher: createRtmpPusher(),
      resolve: (to) => policy.resolve(to),
      retry: { enabled: true, attempts: 1000, intervalMs: 100, capMs: 0 },
      outBuffer: { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true },
      pollingMs: 50,
      lateGroups: new LateGroups({ overloaded: false }),
      sendMetadata: true,
      silence: Buffer.alloc(8),
      flashVersion: 'FMLE/3.0',
      stallTimeoutMs: 5000,
      logger: silentLogger,
      onInvalidTransition: (status, event) => invalid.push(`${status} ${event}`),
    },
  );
  const pushing = (): Promise<unknown> => waitFor('the push to run', async () => transponder.status === 'pushing');
  await pushing();

  known = false;
  await nginx.kill();
  await nginx.restart();
  await waitFor('a few attempts without a name', async () => missed >= 3);
  t.match(transponder.view(), { reasonCode: 'DESTINATION_UNREACHABLE', reason: /rtmp\.example\.com/ });
  known = true;
  await pushing();
  t.equal(transponder.view().reason, '');
  await transponder.stop(new GatewayError('TERMINATED', 'done'));
  t.strictSame(invalid, []);
});
