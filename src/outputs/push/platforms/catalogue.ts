import platformsFile from '../../../../config/platforms.json' with { type: 'json' };
import { GatewayError } from '../../../errors.ts';
import { hostMatches } from '../../../net/host-pattern.ts';
import { PlatformsFileSchema, type PlatformData, type Rule, type Source } from './platform-schema.ts';

/** A rule with the source that says so. */
export type SourcedRule = Rule & { readonly from: Source };

export interface Platform extends Omit<PlatformData, 'rules'> {
  readonly rules: readonly SourcedRule[];
  readonly sources: Readonly<Record<string, Source>>;
}

/** A push to a platform, in place of its URL. */
export interface PlatformPush {
  readonly platform: string;
  readonly streamKey: string;
  /** Also push to the backup server of the platform. */
  readonly backup?: boolean | undefined;
}

/** What a push to a platform is as a push to URLs, which contain the stream key. */
export interface PlatformUrls {
  readonly rtmpUrl: string;
  readonly rtmpTransponderFullUrl: true;
  readonly backupUrl?: string;
}

/** The platforms that the gateway knows. */
export class PlatformCatalogue {
  readonly platforms: readonly Platform[];

  private constructor(platforms: readonly Platform[]) {
    this.platforms = platforms;
  }

  /**
   * @param file the content of `config/platforms.json`
   * @throws {GatewayError} SETTINGS_INVALID
   */
  static create(file: unknown = platformsFile): PlatformCatalogue {
    const parsed = PlatformsFileSchema.safeParse(file);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new GatewayError(
        'SETTINGS_INVALID',
        `config/platforms.json ${issue!.path.join('.')} ${issue!.message}. Correct the file.`,
      );
    }
    const { sources, platforms } = parsed.data;
    return new PlatformCatalogue(
      platforms.map((platform) => ({
        ...platform,
        sources,
        rules: platform.rules.map((rule) => ({ ...rule, from: sources[rule.source]! })),
      })),
    );
  }

  /** The ids of the platforms that can be pushed to without a URL. */
  get withIngest(): readonly string[] {
    return this.platforms.filter(({ ingest }) => ingest).map(({ id }) => id);
  }

  find(id: string): Platform | undefined {
    return this.platforms.find((platform) => platform.id === id);
  }

  /** The platform that a host belongs to. */
  ofHost(host: string): Platform | undefined {
    return this.platforms.find(({ hosts }) => hosts.patterns.some((pattern) => hostMatches(pattern, host)));
  }

  /** @throws {GatewayError} INVALID_REQUEST that names the field */
  urls({ platform: id, streamKey, backup }: PlatformPush): PlatformUrls {
    const platform = this.find(id);
    if (!platform)
      throw invalid(
        `platform ${JSON.stringify(id.slice(0, 60))} is not known. Known: ${this.withIngest.join(', ')}. Send rtmpUrl for others.`,
      );
    if (!platform.ingest)
      throw invalid(
        `platform ${id} has no server that is the same for everybody: send the URL that it shows as rtmpUrl.`,
      );
    if (backup && !platform.backup)
      throw invalid(
        `backup is not possible with ${id}, whose backup server is not known. Platforms with a backup server: ${this.platforms
          .filter((other) => other.backup)
          .map((other) => other.id)
          .join(', ')}.`,
      );
    return {
      rtmpUrl: `${platform.ingest.url}/${streamKey}`,
      rtmpTransponderFullUrl: true,
      ...(backup && { backupUrl: `${platform.backup!.url}/${streamKey}` }),
    };
  }
}

const invalid = (message: string): GatewayError => new GatewayError('INVALID_REQUEST', message);
