import { choice, flag, integer, port } from '../fields.ts';

/** The embedded RTMP server and the log. */
export const operation = {
  /** See `runtime/fast-paths.ts`. */
  fast_paths: flag.default(true),
  /** Off by default under `NODE_ENV=production`: see `settings-file.ts`. */
  embedded_rtmp_server: flag.default(true),
  embedded_rtmp_port: port.default(1935),
  embedded_http_flv_port: port.default(8000),
  /** Seconds that SIGTERM gives to running streams; 0: none. */
  drain_timeout_s: integer(0, 86_400).default(0),
  log_level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  log_format: choice(['json', 'pretty']).default('pretty'),
};
