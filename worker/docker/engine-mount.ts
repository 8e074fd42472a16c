import type { Json } from '../../proto/objects/meta.ts';
import type { Expand } from './template.ts';

type Fields = { [key: string]: Json };

/** A mount of a service spec, which is a bind when it does not say, with its placeholders replaced in source, target, volume labels and driver options. */
export function engineMount(mount: Fields, expand: Expand): Fields {
  const volume = fields(mount.VolumeOptions);
  return {
    ...mount,
    Type: typeof mount.Type === 'string' && mount.Type !== '' ? mount.Type.toLowerCase() : 'bind',
    ...(typeof mount.Source === 'string' ? { Source: expand(mount.Source) } : {}),
    ...(typeof mount.Target === 'string' ? { Target: expand(mount.Target) } : {}),
    ...(volume === undefined ? {} : { VolumeOptions: volumeOptions(volume, expand) }),
  };
}

function volumeOptions(options: Fields, expand: Expand): Fields {
  const labels = fields(options.Labels);
  const driver = fields(options.DriverConfig);
  const driverOptions = fields(driver?.Options);
  return {
    ...options,
    ...(labels === undefined ? {} : { Labels: expandValues(labels, expand) }),
    ...(driver === undefined || driverOptions === undefined
      ? {}
      : { DriverConfig: { ...driver, Options: expandValues(driverOptions, expand) } }),
  };
}

function expandValues(values: Fields, expand: Expand): Fields {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, typeof value === 'string' ? expand(value) : value]),
  );
}

function fields(value: Json | undefined): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
}
