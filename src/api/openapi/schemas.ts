import type { z } from 'zod';
import { TransponderSchema, VerdictSchema } from '../../views/push-view.ts';
import { MemberRemovalSchema, RoomChangeSchema, RoomMessageSchema } from '../ops/rooms-schemas.ts';
import {
  DestinationChangeSchema,
  DestinationViewSchema,
  GroupChangeSchema,
  GroupCheckSchema,
  GroupStartSchema,
  GroupViewSchema,
  NewDestinationSchema,
  NewGroupSchema,
} from '../ops/destination-schemas.ts';
import { SettingViewSchema } from '../ops/settings-routes.ts';
import {
  CallFilterSchema,
  CallIdSchema,
  CallStartSchema,
  DtmfSchema,
  InjectSoundSchema,
  InjectStreamSchema,
  RestCallSchema,
} from '../wcs/call-schemas.ts';
import { StandbySwitchSchema } from '../wcs/standby-schemas.ts';
import { FilterSchema, SoundOnSchema, StartSchema, TerminateSchema, TransponderIdSchema } from '../wcs/schemas.ts';
import {
  ConnectionFilterSchema,
  ConnectionIdSchema,
  DataSchema,
  RecordSchema,
  SnapshotSchema,
  StreamEventSchema,
  StreamFilterSchema,
  StreamTerminateSchema,
} from '../wcs/session-schemas.ts';
import {
  ConnectionSchema,
  ErrorSchema,
  HealthSchema,
  NodeAddressSchema,
  NodeSchema,
  PrincipalSchema,
  RecordingPageSchema,
  RecordingViewSchema,
  Red5AnswerSchema,
  Red5ErrorSchema,
  RenewalSchema,
  SnapshotAnswerSchema,
  StreamSchema,
  StreamSessionSchema,
} from './answers.ts';
import { CallViewSchema, RegistrationViewSchema } from './call-answers.ts';
import { PlatformViewSchema } from './platform-answers.ts';
import { RoomPageSchema, RoomSchema } from './room-answers.ts';

/** The schemas of the OpenAPI document, by name. */
export const SCHEMAS = {
  StartRequest: StartSchema,
  StandbySwitch: StandbySwitchSchema,
  Filter: FilterSchema,
  TransponderId: TransponderIdSchema,
  TerminateRequest: TerminateSchema,
  NewDestination: NewDestinationSchema,
  DestinationChange: DestinationChangeSchema,
  SavedDestination: DestinationViewSchema,
  NewDestinationGroup: NewGroupSchema,
  DestinationGroupChange: GroupChangeSchema,
  DestinationGroup: GroupViewSchema,
  GroupCheck: GroupCheckSchema,
  GroupStart: GroupStartSchema,
  SoundOn: SoundOnSchema,
  Transponder: TransponderSchema,
  Verdict: VerdictSchema,
  Platform: PlatformViewSchema,
  Setting: SettingViewSchema,
  Stream: StreamSchema,
  StreamFilter: StreamFilterSchema,
  StreamTerminate: StreamTerminateSchema,
  CallStart: CallStartSchema,
  RestCall: RestCallSchema,
  CallFilter: CallFilterSchema,
  CallId: CallIdSchema,
  Dtmf: DtmfSchema,
  InjectSound: InjectSoundSchema,
  InjectStream: InjectStreamSchema,
  Call: CallViewSchema,
  SipRegistration: RegistrationViewSchema,
  SnapshotRequest: SnapshotSchema,
  RecordRequest: RecordSchema,
  StreamEvent: StreamEventSchema,
  Data: DataSchema,
  ConnectionFilter: ConnectionFilterSchema,
  ConnectionId: ConnectionIdSchema,
  StreamSession: StreamSessionSchema,
  Connection: ConnectionSchema,
  Snapshot: SnapshotAnswerSchema,
  Recording: RecordingViewSchema,
  RecordingPage: RecordingPageSchema,
  RoomPage: RoomPageSchema,
  Room: RoomSchema,
  RoomChange: RoomChangeSchema,
  RoomMessage: RoomMessageSchema,
  MemberRemoval: MemberRemovalSchema,
  Principal: PrincipalSchema,
  Renewal: RenewalSchema,
  Health: HealthSchema,
  Node: NodeSchema,
  NodeAddress: NodeAddressSchema,
  Error: ErrorSchema,
  Red5Answer: Red5AnswerSchema,
  Red5Error: Red5ErrorSchema,
} satisfies Record<string, z.ZodObject>;
export type SchemaName = keyof typeof SCHEMAS;
