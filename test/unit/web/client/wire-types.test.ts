import t from 'tap';
import type { z } from 'zod';
import type {
  DestinationView,
  GroupChangeSchema,
  GroupCheckView,
  GroupStartView,
  GroupViewSchema,
  NewDestinationSchema,
  NewGroupSchema,
} from '../../../../src/api/ops/destination-schemas.ts';
import type { RecordingView } from '../../../../src/api/openapi/answers.ts';
import type { ErrorCode } from '../../../../src/errors.ts';
import { FilterSchema, StartSchema } from '../../../../src/api/wcs/schemas.ts';
import { StandbySwitchSchema } from '../../../../src/api/wcs/standby-schemas.ts';
import type { TransponderView, Verdict as ServerVerdict } from '../../../../src/views/push-view.ts';
import type {
  PictureChange as ServerPictureChange,
  StandbyRequest,
  StartRequest,
  TransponderFilter as ServerFilter,
} from '../../../../src/outputs/push/transponder-view.ts';
import type {
  DestinationGroup,
  GatewayErrorCode,
  PictureChange,
  PushRequest,
  Recording,
  SavedDestination,
  StandbyOptions,
  Transponder,
  TransponderFilter,
  Verdict,
} from '../../../../src/web/client/index.js';
import type { DestinationChange, GroupChange, GroupCheck, GroupStart } from '../../../../src/web/client/wire.js';

/** The library has types of its own, because its package contains nothing of the server. They must be those of the server. */

/** Fails to compile unless `Sent` may be used where `Expected` is. */
type Fits<Expected, Sent extends Expected> = Sent;
/** The names of one type that another lacks. */
type Lacks<A, B> = Exclude<keyof A, keyof B>;

/** Answers: what the server sends is what the library says, and the library names each field. */
export type Answers = [
  Fits<GatewayErrorCode, ErrorCode>,
  Fits<ErrorCode, GatewayErrorCode>,
  Fits<SavedDestination, DestinationView>,
  Fits<DestinationGroup, z.output<typeof GroupViewSchema>>,
  Fits<z.output<typeof GroupViewSchema>, DestinationGroup>,
  Fits<GroupCheck, GroupCheckView>,
  Fits<GroupStart, GroupStartView>,
  Fits<Recording, RecordingView>,
  Fits<RecordingView, Recording>,
  Fits<Transponder, TransponderView>,
  Fits<TransponderView, Transponder>,
  Fits<never, Lacks<TransponderView, Transponder>>,
  Fits<Verdict, ServerVerdict>,
  Fits<ServerVerdict, Verdict>,
  Fits<never, Lacks<ServerVerdict, Verdict>>,
];

/** Requests: what the library lets pages send is what the server takes, and all of it. */
export type Requests = [
  Fits<keyof z.input<typeof NewDestinationSchema>, keyof DestinationChange>,
  Fits<keyof DestinationChange | 'id', keyof z.input<typeof NewDestinationSchema>>,
  Fits<keyof z.input<typeof GroupChangeSchema>, keyof GroupChange>,
  Fits<keyof GroupChange | 'id', keyof z.input<typeof NewGroupSchema>>,
  Fits<z.input<typeof StartSchema>, Required<PushRequest>>,
  Fits<Omit<StartRequest, 'standby' | 'rtmpUrl'>, Omit<PushRequest, 'standby' | 'rtmpUrl'>>,
  // Groups are started by a method of their own.
  Fits<'groupId', Lacks<StartRequest, PushRequest>>,
  Fits<Partial<StandbyRequest>, StandbyOptions>,
  Fits<never, Lacks<StandbyRequest, StandbyOptions>>,
  Fits<PictureChange, ServerPictureChange>,
  Fits<ServerPictureChange, PictureChange>,
  Fits<TransponderFilter, ServerFilter>,
  Fits<ServerFilter, TransponderFilter>,
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
