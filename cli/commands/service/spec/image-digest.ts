import type { ServiceSpec } from '../../../../proto/objects/service.ts';
import { ApiError } from '../../../client.ts';
import type { Context } from '../../../context.ts';

interface Distribution {
  Descriptor: { digest: string };
  Platforms?: { architecture?: string; os?: string }[];
}

/**
 * Pins the image to the digest that its registry has now, so that every node runs the same; an image that no registry can be asked
 * about is used as it is on each node. @returns the warning to print then, once the service is stored.
 */
export async function pinImage(context: Context, spec: ServiceSpec): Promise<string | undefined> {
  const container = spec.TaskTemplate.ContainerSpec;
  const image = container?.Image;
  if (container === undefined || image === undefined || image.includes('@')) return undefined;
  try {
    const found = await context.client.get<Distribution>(`/distribution/${image}/json`);
    container.Image = `${/:[^/]+$/.test(image) ? image : `${image}:latest`}@${found.Descriptor.digest}`;
    const platforms = (found.Platforms ?? []).map(({ architecture = '', os = '' }) => ({
      Architecture: architecture,
      OS: os,
    }));
    if (platforms.length > 0) spec.TaskTemplate.Placement = { ...spec.TaskTemplate.Placement, Platforms: platforms };
    return undefined;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return `image ${image} could not be accessed on a registry to record\nits digest. Each node will access ${image} independently,\npossibly leading to different nodes running different\nversions of the image.\n`;
  }
}
