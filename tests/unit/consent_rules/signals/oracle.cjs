// The official libraries of IAB, asked over standard input: lines of JSON in, lines of JSON out.
// `tcf` decodes each string that comes in; `gpp` encodes each model that comes in.
const readline = require("node:readline");

const sorted = (vector) => {
  const ids = [];
  vector.forEach((has, id) => has && ids.push(id));
  return ids;
};

function tcf(library, text) {
  const model = library.TCString.decode(text);
  const restrictions = [];
  for (const one of model.publisherRestrictions.getRestrictions()) {
    restrictions.push({
      purpose_id: one.purposeId,
      restriction_type: one.restrictionType,
      vendor_ids: model.publisherRestrictions.getVendors(one),
    });
  }
  return {
    version: model.version,
    created: model.created,
    last_updated: model.lastUpdated,
    cmp_id: model.cmpId,
    cmp_version: model.cmpVersion,
    consent_screen: model.consentScreen,
    consent_language: model.consentLanguage,
    vendor_list_version: model.vendorListVersion,
    tcf_policy_version: Number(model.policyVersion),
    is_service_specific: model.isServiceSpecific,
    use_non_standard_texts: model.useNonStandardTexts,
    special_feature_opt_ins: sorted(model.specialFeatureOptins),
    purposes_consent: sorted(model.purposeConsents),
    purposes_li_transparency: sorted(model.purposeLegitimateInterests),
    purpose_one_treatment: model.purposeOneTreatment,
    publisher_cc: model.publisherCountryCode,
    vendor_consents: sorted(model.vendorConsents),
    vendor_legitimate_interests: sorted(model.vendorLegitimateInterests),
    publisher_restrictions: restrictions,
    vendors_disclosed: sorted(model.vendorsDisclosed),
    pub_purposes_consent: sorted(model.publisherConsents),
    pub_purposes_li: sorted(model.publisherLegitimateInterests),
    num_custom_purposes: model.numCustomPurposes,
    custom_purposes_consent: sorted(model.publisherCustomConsents),
    custom_purposes_li: sorted(model.publisherCustomLegitimateInterests),
  };
}

function gpp(library, fields) {
  const model = new library.GppModel();
  for (const [section, name, value] of fields) model.setFieldValue(section, name, value);
  return model.encode();
}

const asks = {
  tcf: [tcf, "@iabtechlabtcf/core"],
  gpp: [gpp, "@iabgpp/cmpapi"],
};
const [answer, name] = asks[process.argv[2]];
const library = require(require.resolve(name, { paths: [process.argv[3]] }));
const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  let found;
  try {
    found = answer(library, JSON.parse(line));
  } catch (error) {
    found = { error: String(error.message) };
  }
  process.stdout.write(JSON.stringify(found) + "\n");
});
