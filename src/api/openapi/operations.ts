import { HLS_OPERATIONS } from '../hls/hls-operations.ts';
import { CLUSTER_OPERATIONS } from '../manager/cluster-operations.ts';
import { DESTINATION_OPERATIONS } from '../ops/destination-operations.ts';
import { INSPECTION_OPERATIONS, MONITORING_OPERATIONS } from '../ops/ops-operations.ts';
import { RECORDING_OPERATIONS } from '../ops/recordings-operations.ts';
import { ROOM_OPERATIONS } from '../ops/rooms-operations.ts';
import { RED5_OPERATIONS } from '../red5/red5-operations.ts';
import { CALL_OPERATIONS } from '../wcs/call-operations.ts';
import { PUSH_OPERATIONS } from '../wcs/push-operations.ts';
import { SESSION_OPERATIONS } from '../wcs/session-operations.ts';
import { WHEP_OPERATIONS } from '../whep/whep-operations.ts';
import { WHIP_OPERATIONS } from '../whip/whip-operations.ts';
import { probesOf, type Operation } from './operation.ts';

/** The HTTP interface: what the OpenAPI document describes, and what managers pass on to nodes. */
export const OPERATIONS: readonly Operation[] = [
  ...PUSH_OPERATIONS,
  ...DESTINATION_OPERATIONS,
  ...CALL_OPERATIONS,
  ...SESSION_OPERATIONS,
  ...RED5_OPERATIONS,
  ...RECORDING_OPERATIONS,
  ...HLS_OPERATIONS,
  ...ROOM_OPERATIONS,
  ...INSPECTION_OPERATIONS,
  ...MONITORING_OPERATIONS,
  ...WHIP_OPERATIONS,
  ...WHEP_OPERATIONS,
  ...probesOf([...WHIP_OPERATIONS, ...WHEP_OPERATIONS]),
  ...CLUSTER_OPERATIONS,
];
