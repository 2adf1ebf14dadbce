import { GatewayError } from '../../errors.ts';

export const diskFull = (): GatewayError =>
  new GatewayError(
    'DISK_FULL',
    'The disk of record_dir has less free space than record_min_free_mb. Delete recordings, or make room.',
  );
