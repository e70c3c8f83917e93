/**
 * What each route answers, by the name of its operation. Only the OpenAPI document and tests need
 * it: the page serves without, for its start would take a third longer.
 */
import * as z from "zod";
import { alertsShape } from "./alert-shapes.ts";
import { placesShape } from "./place-shapes.ts";
import {
  diffShape,
  graphShape,
  hereShape,
  nextSlotsShape,
  overviewShape,
  pipelineFileShape,
  pipelinePageShape,
  priceShape,
  requestShape,
  requestsShape,
  runLedgerShape,
  runLogShape,
  runPageShape,
  runsShape,
  schemaShape,
  searchShape,
  slotAnswersShape,
  slotGridShape,
  slotOutcomesShape,
  statusShape,
  stripsShape,
  takenShape,
} from "./shapes.ts";

/** The shapes of all answers. */
export const ANSWERS = {
  getStatus: statusShape,
  getNext: nextSlotsShape,
  getPipeline: pipelinePageShape,
  getPipelineFile: pipelineFileShape,
  getPipelineSlots: slotOutcomesShape,
  getWhy: slotAnswersShape,
  getRuns: runsShape,
  search: searchShape,
  getRun: runPageShape,
  getRunLedger: runLedgerShape,
  getRunLog: runLogShape,
  getRunGraph: graphShape,
  getDiff: diffShape,
  getSchema: schemaShape,
  getOverview: overviewShape,
  getStrips: stripsShape,
  getSlots: slotGridShape,
  getBackfillPrice: priceShape,
  getRequests: requestsShape,
  getRequest: requestShape,
  getAlerts: alertsShape,
  getPlaces: placesShape,
  getEvents: z.string(),
  getHere: hereShape,
  postRequest: takenShape,
} as const satisfies Readonly<Record<string, z.ZodType>>;

/** The name of an operation. */
export type Operation = keyof typeof ANSWERS;
