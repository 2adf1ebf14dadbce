import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import type { z } from 'zod';
import { clientTypes } from '../../../../scripts/client-types.ts';
import type { DestinationView, NewDestinationSchema } from '../../../../src/api/ops/destination-schemas.ts';
import { FilterSchema, StartSchema } from '../../../../src/api/wcs/schemas.ts';
import { StandbySwitchSchema } from '../../../../src/api/wcs/standby-schemas.ts';
import type { StartRequest } from '../../../../src/outputs/push/transponder-control.ts';
import type {
  PictureChange,
  PushRequest,
  SavedDestination,
  TransponderFilter,
} from '../../../../src/web/client/index.js';
import type { DestinationChange } from '../../../../src/web/client/wire.js';

t.test('src/web/client/schemas.d.ts has the types of the schemas of the server', async (t) => {
  const file = path.resolve(import.meta.dirname, '../../../../src/web/client/schemas.d.ts');
  const types = await clientTypes();
  // UPDATE_CLIENT_TYPES=1 node scripts/test.mjs test/unit/web/client/wire-types.test.ts
  if (process.env['UPDATE_CLIENT_TYPES']) writeFileSync(file, types);
  t.equal(readFileSync(file, 'utf8'), types);
});

/** Fails to compile unless `Sent` may be used where `Expected` is. */
type Fits<Expected, Sent extends Expected> = Sent;
/** The names of one type that another lacks. */
type Lacks<A, B> = Exclude<keyof A, keyof B>;

/** The types of `wire.d.ts`, which are written by hand. */
export type Written = [
  Fits<SavedDestination, DestinationView>,
  Fits<keyof z.input<typeof NewDestinationSchema>, keyof DestinationChange>,
  Fits<keyof DestinationChange | 'id', keyof z.input<typeof NewDestinationSchema>>,
  Fits<z.input<typeof StartSchema>, Required<PushRequest>>,
  Fits<Omit<StartRequest, 'standby' | 'rtmpUrl'>, Omit<PushRequest, 'standby' | 'rtmpUrl'>>,
  // Groups are started by a method of their own.
  Fits<'groupId', Lacks<StartRequest, PushRequest>>,
];

t.test('requests with all fields of the library pass the schemas of the server', async (t) => {
  const common: Omit<PushRequest, 'rtmpUrl' | 'platform' | 'streamKey' | 'backup' | 'destinationId' | 'backupUrl'> = {
    streamName: 'stream1',
    rtmpFlashVersion: 'FMLE/3.0',
    rtmpTransponderFullUrl: false,
    videoCodec: 'source',
    audioCodec: 'aac',
    options: { action: 'sound_on', soundFile: 'wait.wav', loop: true },
    standby: {
      ...{ freezeMs: 500, source: 'image', file: 'soon.png', color: '#102030', text: 'Back soon', holdMs: 60_000 },
      startWithStandby: true,
    },
    backupMode: 'cold',
    backupAfterMs: 3000,
    restore: true,
    restoreAttempts: 5,
    restoreIntervalMs: 1000,
    restoreMaxIntervalMs: 8000,
  };
  const requests: PushRequest[] = [
    {
      ...common,
      ...{ rtmpUrl: 'rtmp://127.0.0.1:1935/live', backupUrl: 'rtmp://127.0.0.1:1936/live' },
      ...{ width: 1280, height: 720, fps: 30, keyFrameInterval: 60 },
    },
    { ...common, platform: 'youtube', streamKey: 'key', backup: true, comply: 'auto' },
    { ...common, destinationId: 'our-youtube' },
  ];
  for (const request of requests) {
    t.strictSame(StartSchema.parse(request), request);
  }

  const filter: Required<TransponderFilter> = {
    mediaSessionId: '0123456789abcdef',
    streamName: 'stream1',
    rtmpUrl: 'rtmp://127.0.0.1:1935/live',
  };
  t.strictSame(FilterSchema.parse(filter), filter);
  const picture: Required<PictureChange> = { source: 'video', file: 'loop.mp4', color: '#000000', text: '' };
  const change = { mediaSessionId: '0123456789abcdef', ...picture };
  t.strictSame(StandbySwitchSchema.parse(change), change);
});
