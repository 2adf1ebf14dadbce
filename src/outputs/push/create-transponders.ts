import type { Settings } from '../../config/schema.ts';
import { DestinationPolicy } from '../../net/destination-policy.ts';
import type { TlsTrust } from '../../net/tls-trust.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { findPictureEncoders } from '../../ffmpeg/ffmpeg-abilities.ts';
import type { EncoderPool } from '../../renditions/encoder-pool.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { LateGroups, type LoadSignal } from '../late-groups.ts';
import type { PlatformCatalogue } from './platforms/catalogue.ts';
import { HostMemory, type HostNotes } from './codecs/host-memory.ts';
import { PushPlatforms } from './platforms/push-platforms.ts';
import { WireCheck } from './platforms/wire-check.ts';
import { createFfmpegPusher } from './ffmpeg-pusher.ts';
import type { PusherFactory } from './pusher.ts';
import { createRtmpPusher } from './rtmp-pusher.ts';
import { SoundLibrary } from './sound-library.ts';
import { standbyDefaults } from './standby-defaults.ts';
import type { StandbyRenditions } from './standby-renditions.ts';
import type { StoredPushes } from './record/stored-pushes.ts';
import type { TransponderHistory } from './transponder-history.ts';
import { TransponderManager } from './transponder-manager.ts';

/** The parts of the gateway that transponders need. */
export interface TransponderParts {
  readonly registry: StreamRegistry;
  readonly encoders: EncoderPool;
  readonly standbys: StandbyRenditions;
  readonly history: TransponderHistory;
  /** Unset in a cluster, which stores pushes itself. */
  readonly stored: StoredPushes | undefined;
  readonly platforms: PlatformCatalogue;
  /** Where it is noted what servers take. */
  readonly hostNotes: HostNotes;
  readonly overload: LoadSignal;
  readonly metrics: Metrics;
  /** The gateway's own RTMP server, to which pushes are always allowed. */
  readonly ownServer: { readonly address: string; readonly port: number } | undefined;
  readonly logger: Logger;
}

/** Creates the transponders of the gateway from its settings, and registers the metrics of what they share. */
export async function createTransponders(
  settings: Settings,
  {
    registry,
    encoders,
    standbys,
    history,
    stored,
    platforms,
    hostNotes,
    overload,
    metrics,
    ownServer,
    logger,
  }: TransponderParts,
): Promise<TransponderManager> {
  const lateGroups = new LateGroups(overload);
  metrics.total(
    'gateway_late_frames_dropped_total',
    'Video frames that outputs have dropped because the overloaded gateway was too late with them.',
    () => lateGroups.framesDropped,
  );
  const invalidTransitions = metrics.counter(
    'gateway_invalid_transitions_total',
    'Events for which a state machine had no transition: faults of the gateway.',
  );
  const undecodable = metrics.counter(
    'gateway_push_undecodable_messages_total',
    'Messages of RTMP servers that could not be decoded and were ignored.',
  );
  const fallbacks = metrics.counter(
    'gateway_push_codec_fallbacks_total',
    'Connections of pushes that were made again with H.264 or AAC, because the server did not take the codec.',
  );
  const policy = new DestinationPolicy(settings, ownServer && { alsoAllow: [ownServer] });
  const trust = createTrust(settings, logger);
  return new TransponderManager({
    registry,
    platforms: new PushPlatforms({ catalogue: platforms }),
    wire: new WireCheck({
      ...trust,
      resolve: (destination) => policy.resolve(destination),
      flashVersion: settings.rtmp_flash_ver_subscriber,
      localAddress: settings.rtmp_publisher_ip,
    }),
    encoders,
    sounds: new SoundLibrary(
      settings.media_dir,
      { codec: settings.rtmp_transponder_audio_codec, bitrate: settings.audio_bitrate },
      logger,
    ),
    environment: {
      createPusher: createPusherFactory(settings, trust, logger, () => undecodable.inc()),
      resolve: (destination) => policy.resolve(destination),
      retry: {
        enabled: settings.rtmp_push_restore,
        attempts: settings.rtmp_push_restore_attempts,
        intervalMs: settings.rtmp_push_restore_interval_ms,
        capMs: settings.rtmp_push_restore_backoff_cap_ms,
      },
      outBuffer: {
        enabled: settings.rtmp_out_buffer_enabled,
        initialMs: settings.rtmp_out_buffer_initial_size,
        startMs: settings.rtmp_out_buffer_start_size,
        maxBufferings: settings.rtmp_out_buffer_max_bufferings_allowed,
        queueWhenFull: settings['rtmp.server_buffer_enabled'],
      },
      pollingMs: settings.rtmp_out_buffer_polling_time,
      lateGroups,
      sendMetadata: settings.rtmp_transponder_send_metadata,
      silence: (await encoders.audioFormat(settings.rtmp_transponder_audio_codec)).silence,
      flashVersion: settings.rtmp_flash_ver_subscriber,
      localAddress: settings.rtmp_publisher_ip,
      stallTimeoutMs: settings.rtmp_push_stall_timeout_ms,
      nameHeldMs: settings.rtmp_push_name_held_ms,
      logger,
      onInvalidTransition: () => invalidTransitions.inc(),
    },
    addressing: {
      streamNamePrefix: settings.rtmp_transponder_stream_name_prefix,
      fullUrl: settings.rtmp_transponder_full_url,
    },
    preserveAspectRatio: settings.avvideo_transcoder_preserve_aspect_ratio,
    codecs: {
      video: settings.rtmp_video_codec,
      audio: settings.rtmp_audio_codec,
      plainBecause: plainBecause(settings),
      otherAudio: settings.rtmp_transponder_audio_codec,
      clipCodecs: new Set((await findPictureEncoders()).keys()),
      memory: new HostMemory({ notes: hostNotes, logger }),
      onFallback: () => fallbacks.inc(),
    },
    maxTransponders: settings.max_transponders,
    maxPerStream: settings.max_transponders_per_stream,
    history,
    // ffmpeg keeps the sequence header that its connection began with.
    ...(settings.push_engine === 'rtmp' && { standby: standbys }),
    ...(settings.standby && { standbyByDefault: standbyDefaults(settings) }),
    ...(stored && { stored }),
    autoStartUrl: settings.rtmp_push_auto_start ? settings.rtmp_push_auto_start_url : '',
    logger,
  });
}

function plainBecause({ rtmp_enhanced: enhanced, push_engine: engine }: Settings): string | undefined {
  if (engine === 'ffmpeg') return 'push_engine is ffmpeg';
  return enhanced ? undefined : 'rtmp_enhanced is false';
}

const createTrust = (settings: Settings, logger: Logger): TlsTrust => ({
  caFile: settings.rtmps_ca_file,
  insecureHosts: settings.rtmps_insecure_host ? [settings.rtmps_insecure_host] : [],
  onInsecure: (host) => logger.warn({ host }, 'the certificate of this host is not verified (rtmps_insecure_host)'),
});

function createPusherFactory(
  settings: Settings,
  trust: TlsTrust,
  logger: Logger,
  onUndecodable: () => void,
): PusherFactory {
  if (settings.push_engine === 'ffmpeg')
    return createFfmpegPusher({ ...trust, sendMetadata: settings.rtmp_transponder_send_metadata, logger });
  return createRtmpPusher({ ...trust, serverBuffer: settings['rtmp.server_buffer_enabled'], onUndecodable });
}
