/** What every object in the state store carries, in the Engine API's own spelling. */

/** JSON as it came from a client; specs are kept so that what was not given stays absent. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The Raft index of the object's last change; clients hand it back for optimistic locking. */
export interface Version {
  Index: number;
}

export interface ObjectMeta {
  /** 25 characters of base 36 (naming.ts), unique over all tables. */
  ID: string;
  Version: Version;
  /** RFC 3339 with nanoseconds, as Docker prints times. */
  CreatedAt: string;
  UpdatedAt: string;
}

export type Labels = Record<string, string>;

/** The name and labels that every spec begins with. */
export interface Annotations {
  Name: string;
  Labels?: Labels | null;
}

export interface Driver {
  Name?: string;
  Options?: Record<string, string> | null;
}
