/** The entry of the thread that reads large definitions (schedules/definition-thread.ts). */
import { readFileSync } from "node:fs";
import type { LoadedPipeline } from "../src/core/loaded-pipeline.ts";
import { DefinitionReading } from "../src/schedules/definition-reading.ts";
import type { DefinitionQuestion } from "../src/schedules/definition-thread.ts";
import { loadedPieces } from "../src/schedules/loaded-pieces.ts";
import { answerQuestions } from "./answer-questions.ts";

const readings = new Map<number, DefinitionReading>();
const pieces = new Map<number, Iterator<string, void>>();

answerQuestions((question: DefinitionQuestion): unknown => {
  const { reading: id } = question;
  switch (question.ask) {
    case "read": {
      const reading = new DefinitionReading(question.file);
      readings.set(id, reading);
      return reading.read(question.text);
    }
    case "compile": {
      const compiled = readingOf(id).compile(question.order);
      if (!compiled.ok) return compiled;
      pieces.set(id, loadedPieces(compiled.loaded));
      return { ok: true };
    }
    case "kept":
      pieces.set(
        id,
        loadedPieces(JSON.parse(readFileSync(question.path, "utf8")) as LoadedPipeline),
      );
      return undefined;
    case "piece":
      return pieces.get(id)?.next().value;
    case "locate":
      return readingOf(id).locate(question.faults);
    case "end":
      readings.delete(id);
      pieces.delete(id);
      return undefined;
  }
});

function readingOf(id: number): DefinitionReading {
  const reading = readings.get(id);
  if (reading === undefined) throw new Error("the thread that read the file has ended meanwhile");
  return reading;
}
